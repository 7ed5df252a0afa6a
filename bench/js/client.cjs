// MQTT.js, 3.1.1, with its defaults.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const mqtt = require(path.resolve('js/node_modules/mqtt'))
const { version } = require(path.resolve('js/node_modules/mqtt/package.json'))

const [kind, host, port, topic, qosText, sizeText, windowText, warmupText, durationText, transport, certificate] = process.argv.slice(2)
const [qos, size, window, warmup, duration] = [qosText, sizeText, windowText, warmupText, durationText].map(Number)
const payload = Buffer.alloc(size)
const seconds = () => Number(process.hrtime.bigint()) / 1e9
const pause = (s) => new Promise((resolve) => setTimeout(resolve, s * 1000))

function usage () {
  const cpu = process.cpuUsage()
  const io = fs.readFileSync('/proc/self/io', 'utf8')
  const count = (name) => Number(io.match(new RegExp(name + ': (\\d+)'))[1])
  return { at: seconds(), cpu: (cpu.user + cpu.system) / 1e6, reads: count('syscr'), writes: count('syscw') }
}

const publish = (client, q) => new Promise((resolve, reject) =>
  client.publish(topic, payload, { qos: q }, (err) => err ? reject(err) : resolve()))

// flood keeps up to window messages on their way. At QoS 0 one is over when it
// is written.
function flood (client, time) {
  return new Promise((resolve, reject) => {
    const end = seconds() + time
    let n = 0
    let inflight = 0
    let over = false
    let scheduled = false
    // One refill for all that a turn of the event loop has brought: the library
    // then writes them together.
    const done = (err) => {
      if (err) return reject(err)
      inflight--
      if (scheduled) return
      scheduled = true
      setImmediate(pump)
    }
    const pump = () => {
      scheduled = false
      while (!over && inflight < window) {
        inflight++
        client.publish(topic, payload, { qos }, done)
        n++
        if (n % 16 === 0) over = seconds() >= end
      }
      if (over && inflight === 0) resolve(n)
    }
    pump()
  })
}

async function pump (client, time, times) {
  if (kind === 'seq') {
    const end = seconds() + time
    let n = 0
    for (; seconds() < end; n++) {
      const start = seconds()
      await publish(client, qos)
      times.push((seconds() - start) * 1e6)
    }
    return n
  }
  const n = await flood(client, time)
  if (qos === 0) await publish(client, 1)
  return n
}

async function main () {
  const options = { clientId: 'bench' }
  if (kind !== 'return') options.reconnectPeriod = 0
  if (transport === 'tls') options.ca = fs.readFileSync(certificate)
  const scheme = { tls: 'mqtts', ws: 'ws' }[transport] ?? 'mqtt'
  const client = await mqtt.connectAsync(`${scheme}://${host}:${port}${transport === 'ws' ? '/mqtt' : ''}`, options)
  if (kind === 'return') { // ended from outside
    client.on('error', () => {})
    return client.subscribeAsync(topic, { qos })
  }
  client.on('error', (err) => { console.error(err); process.exit(1) })
  const s = { version }
  let before
  let n
  if (kind === 'receive') {
    let received = 0
    let next = 0
    let lost = 0
    client.on('message', (_, data) => {
      received++
      const i = data.readUInt32BE(0)
      if (i !== next && i !== 0) lost++
      next = i + 1
    })
    await client.subscribeAsync(topic, { qos })
    await pause(warmup)
    n = received
    before = usage()
    await pause(duration)
    n = received - n
    s.lost = lost
  } else {
    const times = []
    const warm = await pump(client, warmup, [])
    before = usage()
    n = await pump(client, duration, times)
    s.total = warm + n + (qos === 0 ? 2 : 0)
    if (kind === 'seq') {
      times.sort((a, b) => a - b)
      const p = (x) => times[Math.min(times.length - 1, Math.floor(x * times.length))]
      s.latency = { p50: p(0.5), p99: p(0.99), p999: p(0.999) }
    }
  }
  const after = usage()
  s.messages = n
  s.seconds = after.at - before.at
  s.cpu_seconds = after.cpu - before.cpu
  s.reads = after.reads - before.reads
  s.writes = after.writes - before.writes
  console.log(JSON.stringify(s))
  process.exit(0)
}

main().catch((err) => { console.error(err); process.exit(1) })
