// The SDK of CloudEvents for JavaScript, driven by lines of JSON on standard input. A line
// has an event and a mode, and is answered with the message in which the SDK puts it; or it
// has such a message, and is answered with the event that the SDK finds there.
'use strict'
const readline = require('node:readline')
const { CloudEvent, MQTT, MQTTMessageFactory } = require('cloudevents')

function encode ({ mode, event }) {
  const m = MQTT[mode](new CloudEvent(event))
  const text = typeof m.payload === 'string' ? m.payload : JSON.stringify(m.payload)
  return { contentType: m.PUBLISH['Content Type'], payload: text, properties: m['User Properties'] }
}

function decode ({ contentType, payload, properties }) {
  return MQTT.toEvent(MQTTMessageFactory(contentType, properties, JSON.parse(payload)), true).toJSON()
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const asked = JSON.parse(line)
  process.stdout.write(JSON.stringify(asked.event ? encode(asked) : decode(asked)) + '\n')
})
