// An aedes server. Its argument is the configuration as JSON: see servers/aedes.go.
'use strict'

const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const path = require('node:path')
const tls = require('node:tls')
const { Aedes } = require('aedes')
const { ClassicLevel } = require('classic-level')
const levelPersistence = require('aedes-persistence-level')
const ws = require('ws')

const config = JSON.parse(process.argv[2])
const { Opts: opts, Ports: ports } = config
const host = '127.0.0.1'

function rights () {
  return {
    authenticate (client, user, password, done) {
      const admitted = opts.Users === null ||
        (password !== undefined && password !== null && opts.Users[user] === password.toString())
      if (admitted) return done(null, true)
      const refusal = new Error('bad user name or password')
      refusal.returnCode = 4
      done(refusal, null)
    },
    authorizePublish (client, packet, done) {
      done(opts.NoPublish !== '' && packet.topic === opts.NoPublish ? new Error('may not publish') : null)
    },
    authorizeSubscribe (client, subscription, done) {
      done(null, opts.NoSubscribe !== '' && subscription.topic === opts.NoSubscribe ? null : subscription)
    }
  }
}

async function main () {
  const db = new ClassicLevel(path.join(config.Dir, 'level'))
  const limits = { keepaliveLimit: opts.KeepAlive }
  if (opts.ReceiveMaximum !== 0) limits.maxInflightInbound = opts.ReceiveMaximum
  const broker = await Aedes.createBroker({ persistence: levelPersistence(db), ...rights(), ...limits })
  net.createServer(broker.handle).listen(ports.TCP, host)
  if (ports.TLS !== 0) {
    const read = name => fs.readFileSync(path.join(config.Dir, name))
    tls.createServer({ cert: read('server.crt'), key: read('server.key') }, broker.handle).listen(ports.TLS, host)
  }
  if (ports.WebSocket !== 0) {
    const server = http.createServer()
    new ws.WebSocketServer({ server }).on('connection', (socket, request) => {
      broker.handle(ws.createWebSocketStream(socket), request)
    })
    server.listen(ports.WebSocket, host)
  }
  process.on('SIGTERM', () => broker.close(() => db.close().then(() => process.exit(0))))
}

main()
