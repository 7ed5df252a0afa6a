// MQTT.js, driven by lines of JSON on standard input. It answers each with a line
// of JSON, and prints a line for each message that it receives.
'use strict'
const readline = require('node:readline')
const mqtt = require('mqtt')

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
let client

const commands = {
  connect: (c) => new Promise((resolve, reject) => {
    client = mqtt.connect({
      host: c.host,
      port: c.port,
      protocolVersion: c.version,
      protocolId: c.version === 3 ? 'MQIsdp' : 'MQTT',
      clientId: c.id,
      clean: c.clean,
      reconnectPeriod: 0,
      properties: c.version === 5 ? { sessionExpiryInterval: c.expiry } : undefined,
      will: c.will ? { ...c.will, payload: Buffer.from(c.will.payload) } : undefined
    })
    client.on('message', (topic, payload, packet) =>
      say({ event: 'message', topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain }))
    client.once('connect', (connack) => resolve({ present: connack.sessionPresent }))
    client.once('error', reject)
    client.once('close', () => reject(new Error('connection closed')))
  }),
  subscribe: async (c) => {
    const [granted] = await client.subscribeAsync(c.filter, { qos: c.qos })
    return { granted: granted.qos }
  },
  publish: async (c) => {
    await client.publishAsync(c.topic, c.payload, { qos: c.qos, retain: c.retain })
    return {}
  },
  disconnect: async () => {
    await client.endAsync()
    return {}
  }
}

// One after the other.
let last = Promise.resolve()
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line)
  last = last.then(() => commands[command.op](command))
    .then((answer) => say({ ok: true, ...answer }), (err) => say({ ok: false, error: String(err) }))
}).on('close', () => process.exit(0))
