// MQTT.js, driven by lines of JSON on standard input. It answers each with a line
// of JSON, and prints a line for each message that it receives.
'use strict'
const readline = require('node:readline')
const mqtt = require('mqtt')
const { version: libraryVersion } = require('mqtt/package.json')

// The suites are to see what the library does of itself, so the driver waits longer than
// they do: to connect, between once and twice their longest patience.
const patience = 60_000
const connectTimeout = 22_000
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')

class Unsupported extends Error {}

let client
let connected = false // the command has been answered, so what follows are events
let lost // rejects what waits for the server when the connection ends
let stores = new Map() // by client identifier: the state of its session
let pong = () => {}

// What this driver calls a property, and what MQTT.js calls it.
const message = {
  contentType: 'contentType',
  responseTopic: 'responseTopic',
  correlation: 'correlationData',
  messageExpiry: 'messageExpiryInterval',
  payloadFormat: 'payloadFormatIndicator',
  alias: 'topicAlias',
  userProperties: 'userProperties',
  subscriptionIdentifiers: 'subscriptionIdentifier'
}
const connect = {
  expiry: 'sessionExpiryInterval',
  receiveMaximum: 'receiveMaximum',
  maximumPacketSize: 'maximumPacketSize',
  topicAliasMaximum: 'topicAliasMaximum',
  requestResponseInformation: 'requestResponseInformation',
  userProperties: 'userProperties'
}
const connack = {
  assignedID: 'assignedClientIdentifier',
  reasonString: 'reasonString',
  userProperties: 'userProperties',
  responseInformation: 'responseInformation',
  serverReference: 'serverReference'
}
const booleans = ['payloadFormat']

// MQTT.js has user properties as an object: equal names are a list.
const userPropertiesOf = (pairs) => {
  const object = {}
  let before
  for (const [name, value] of pairs) {
    if (name in object && name !== before) {
      throw new Unsupported('user properties are an object, which does not hold equal names in this order')
    }
    before = name
    object[name] = name in object ? [object[name], value].flat() : value
  }
  return object
}
const pairsOf = (object) =>
  Object.entries(object).flatMap(([name, values]) => [values].flat().map((value) => [name, value]))

const theirs = (names, values) => {
  const properties = {}
  for (const [name, their] of Object.entries(names)) {
    let value = values?.[name]
    if (value === undefined || value === null) continue
    if (name === 'userProperties') value = userPropertiesOf(value)
    if (name === 'correlation') value = Buffer.from(value, 'base64')
    if (booleans.includes(name)) value = Boolean(value)
    properties[their] = value
  }
  return properties
}

const ours = (names, properties) => {
  const values = {}
  for (const [name, their] of Object.entries(names)) {
    let value = properties?.[their]
    if (value === undefined) continue
    if (name === 'userProperties') value = pairsOf(value)
    if (name === 'correlation') value = value.toString('base64')
    if (name === 'subscriptionIdentifiers') value = [value].flat()
    if (typeof value === 'boolean') value = Number(value)
    values[name] = value
  }
  return values
}

// textOf returns a topic or filter: a string of JavaScript does not hold all bytes.
const textOf = (c, name) => {
  if (c[name + 'Base64'] != null) throw new Unsupported('a string of JavaScript does not hold these bytes')
  return c[name] ?? ''
}

const payloadOf = (c) =>
  c.payloadBase64 != null ? Buffer.from(c.payloadBase64, 'base64') : Buffer.from(c.payload ?? '')

// storesOf returns the stores of a session, new ones if it starts clean.
const storesOf = (c) => {
  if (c.clean || !stores.has(c.id)) {
    const store = () => new mqtt.Store({ clean: false })
    stores.set(c.id, { incomingStore: store(), outgoingStore: store() })
  }
  return stores.get(c.id)
}

const willOf = (c) => {
  if (!c.will) return undefined
  const { qos, retain, delay } = c.will
  const will = { topic: textOf(c.will, 'topic'), payload: payloadOf(c.will), qos: qos ?? 0, retain: Boolean(retain) }
  if (c.version === 5) {
    will.properties = { ...theirs(message, c.will.properties) }
    if (delay != null) will.properties.willDelayInterval = delay
  }
  return will
}

const optionsOf = (c) => {
  if (c.version === 5 && !c.clean && !c.id) {
    throw new Unsupported('MQTT.js has no session without a client identifier')
  }
  const options = {
    protocolVersion: c.version,
    protocolId: c.version === 3 ? 'MQIsdp' : 'MQTT',
    clientId: c.id ?? '',
    clean: Boolean(c.clean),
    keepalive: c.keepalive ?? 0,
    username: c.username ?? undefined,
    password: c.password ?? undefined,
    reconnectPeriod: c.reconnect ? 100 : 0,
    connectTimeout,
    autoAssignTopicAlias: Boolean(c.autoAlias),
    will: willOf(c),
    ...storesOf(c)
  }
  if (c.version === 5) {
    options.properties = theirs(connect, c)
    if (c.noProblemInformation) options.properties.requestProblemInformation = false
    if (c.auth) {
      options.properties.authenticationMethod = c.auth.method
      if (c.auth.data != null) options.properties.authenticationData = Buffer.from(c.auth.data, 'base64')
    }
  } else if (c.auth) {
    throw new Unsupported('there is no AUTH before 5.0')
  }
  return options
}

// listen tells what the client tells from now on.
const listen = (c, resolve, reject) => {
  const mine = client
  let error, code
  connected = false
  let over
  const gone = new Promise((_resolve, _reject) => { over = _reject })
  gone.catch(() => {})
  lost = gone
  mine.on('message', (topic, payload, packet) => say({
    event: 'message',
    topic,
    payloadBase64: payload.toString('base64'),
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    properties: ours(message, packet.properties)
  }))
  mine.on('packetreceive', (packet) => { if (packet.cmd === 'pingresp') pong() })
  mine.on('connect', (packet) => {
    const answer = { code: 0, present: Boolean(packet.sessionPresent), properties: ours(connack, packet.properties) }
    if (connected) say({ event: 'connected', present: answer.present })
    connected = true
    resolve(answer)
  })
  mine.on('disconnect', (packet) => { code = packet.reasonCode })
  mine.on('error', (err) => {
    error = err
    code = err.code ?? code
    if (!connected) reject(err)
  })
  mine.on('close', () => {
    const why = error ?? new Error('connection closed')
    reject(why)
    if (!c.reconnect) over(why)
    if (connected) say({ event: 'disconnected', code: typeof code === 'number' ? code : undefined, error: why.message })
    error = code = undefined
  })
  if (c.auth) mine.handleAuth = answerAuth(c.auth)
}

// answerAuth answers each step of the server with its data behind "re:".
const answerAuth = (auth) => (packet, callback) => callback(null, {
  cmd: 'auth',
  reasonCode: 0x18,
  properties: {
    authenticationMethod: auth.method,
    authenticationData: Buffer.concat([Buffer.from('re:'), packet.properties?.authenticationData ?? Buffer.alloc(0)])
  }
})

const orLost = (promise) => Promise.race([promise, lost ?? Promise.reject(new Error('not connected'))])

const commands = {
  connect: (c) => new Promise((resolve, reject) => {
    client = mqtt.connect(c.url, optionsOf(c))
    listen(c, resolve, reject)
  }),
  publish: async (c) => {
    const properties = client.options.protocolVersion === 5 ? theirs(message, c.properties) : undefined
    const sent = client.publishAsync(textOf(c, 'topic'), payloadOf(c), { qos: c.qos ?? 0, retain: Boolean(c.retain), properties })
    if (!c.wait) {
      sent.catch(() => {})
      // What is refused at once is told.
      await Promise.race([sent, new Promise((resolve) => setImmediate(resolve))])
      return {}
    }
    const packet = await orLost(sent)
    return { code: packet?.reasonCode ?? 0 }
  },
  subscribe: async (c) => {
    const five = client.options.protocolVersion === 5
    const filters = {}
    for (const f of c.filters) {
      const filter = textOf(f, 'filter')
      filters[filter] = { qos: f.qos ?? 0 }
      if (five) {
        Object.assign(filters[filter],
          { nl: Boolean(f.noLocal), rap: Boolean(f.retainAsPublished), rh: f.retainHandling ?? 0 })
      }
    }
    const properties = c.identifier ? { properties: { subscriptionIdentifier: c.identifier } } : {}
    const granted = await orLost(new Promise((resolve, reject) => {
      client.subscribe({ ...filters, resubscribe: true }, properties, (err, _, packet) => {
        // One filter refused is an error to MQTT.js; the codes are there.
        if (packet?.granted.length === c.filters.length) resolve(packet.granted)
        else reject(err)
      })
    }))
    return { codes: granted }
  },
  unsubscribe: async (c) => {
    const packet = await orLost(client.unsubscribeAsync(c.filters.map((f) => textOf(f, 'filter'))))
    return { codes: packet?.granted ?? [] }
  },
  disconnect: async (c) => {
    const packet = {}
    if (client.options.protocolVersion === 5) {
      if (c.code) packet.reasonCode = c.code
      if (c.expiry) packet.properties = { sessionExpiryInterval: c.expiry }
    }
    connected = false
    await client.endAsync(false, packet)
    return {}
  },
  ping: async () => {
    const answered = new Promise((resolve) => { pong = resolve })
    client.sendPing()
    await orLost(answered)
    return {}
  },
  reauthenticate: async () => { throw new Unsupported('MQTT.js does not begin an authentication again') },
  quit: async () => { setImmediate(() => process.exit(0)); return {} },
  reset: async () => {
    const mine = client
    client = undefined
    stores = new Map()
    if (!mine) return {}
    mine.removeAllListeners('message')
    mine.removeAllListeners('disconnect')
    connected = false
    await mine.endAsync(true)
    return {}
  }
}

const withPatience = (promise) => {
  let timer
  const bound = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer from the server')), patience)
  })
  return Promise.race([promise, bound]).finally(() => clearTimeout(timer))
}

const failure = (err) => {
  if (err instanceof Unsupported) return { ok: false, unsupported: true, error: err.message }
  return { ok: false, error: String(err?.message ?? err), ...(typeof err?.code === 'number' && { code: err.code }) }
}

say({
  event: 'hello',
  name: 'mqtt.js',
  library: 'MQTT.js ' + libraryVersion,
  versions: [3, 4, 5],
  transports: ['mqtt', 'ws'],
  features: ['reconnect']
})

// One after the other.
let last = Promise.resolve()
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line)
  last = last.then(() => withPatience(commands[command.op](command)))
    .then((answer) => say({ ok: true, ...answer }), (err) => say(failure(err)))
}).on('close', () => process.exit(0))
