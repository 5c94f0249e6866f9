// Drives MQTT.js for the interop suite: commands on standard input, answers and
// events on standard output, one JSON object per line. What they mean is
// written in ../remote_test.go.
'use strict'
const fs = require('node:fs')
const readline = require('node:readline')
const mqtt = require('mqtt')

const receiveMaximum = 20 // dunlin's, unless it is configured
const clients = new Map()

function say (what) {
  process.stdout.write(JSON.stringify(what) + '\n')
}

const bytes = (text) => Buffer.from(text || '', 'base64')
const file = (name) => (name ? fs.readFileSync(name) : undefined)

function propertiesTo (p) {
  if (!p) return undefined
  const out = {}
  if ('payloadFormat' in p) out.payloadFormatIndicator = p.payloadFormat === 1
  if ('messageExpiry' in p) out.messageExpiryInterval = p.messageExpiry
  if (p.contentType) out.contentType = p.contentType
  if (p.responseTopic) out.responseTopic = p.responseTopic
  if (p.correlationData) out.correlationData = bytes(p.correlationData)
  if (p.user) {
    out.userProperties = {}
    for (const [key, value] of p.user) (out.userProperties[key] ??= []).push(value)
  }
  return out
}

function propertiesFrom (p) {
  if (!p) return undefined
  const out = {}
  if ('payloadFormatIndicator' in p) out.payloadFormat = p.payloadFormatIndicator ? 1 : 0
  if ('messageExpiryInterval' in p) out.messageExpiry = p.messageExpiryInterval
  if (p.contentType) out.contentType = p.contentType
  if (p.responseTopic) out.responseTopic = p.responseTopic
  if (p.correlationData) out.correlationData = p.correlationData.toString('base64')
  if (p.subscriptionIdentifier) out.subscriptionIdentifiers = [p.subscriptionIdentifier].flat()
  if (p.userProperties) {
    out.user = Object.entries(p.userProperties).flatMap(([key, value]) => [value].flat().map((v) => [key, v]))
  }
  return out
}

function received (name, packet) {
  say({
    event: 'message',
    client: name,
    topic: packet.topic,
    payload: Buffer.from(packet.payload).toString('base64'),
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    properties: propertiesFrom(packet.properties)
  })
}

function optionsOf (o) {
  const options = {
    clientId: o.id,
    protocolVersion: o.version,
    protocolId: o.version === 3 ? 'MQIsdp' : 'MQTT',
    clean: !o.keep,
    keepalive: 30,
    reconnectPeriod: 0,
    connectTimeout: 10000,
    resubscribe: false,
    username: o.user || undefined,
    password: o.password || undefined,
    ca: file(o.ca),
    cert: file(o.cert),
    key: file(o.key)
  }
  if (o.version === 5 && o.keep) options.properties = { sessionExpiryInterval: o.expiry }
  if (o.will) options.will = { topic: o.will.topic, payload: bytes(o.will.payload), qos: o.will.qos, retain: o.will.retain }
  return options
}

function connect (o) {
  return new Promise((resolve, reject) => {
    const client = mqtt.connect(o.url, optionsOf(o))
    let reason = 0
    clients.set(o.client, client)
    // What is not done is not acknowledged, and not told either: tell it here.
    // As an option, only 5.0 would have it.
    if (o.silent) client.options.customHandleAcks = (topic, payload, packet) => received(o.client, packet)
    client.closed = new Promise((resolve, reject) => client.on('close', () => reject(new Error('the connection has ended'))))
    client.closed.catch(() => {}) // commands under way hear of it, and there may be none
    client.on('message', (topic, payload, packet) => received(o.client, packet))
    client.on('disconnect', (packet) => { reason = packet.reasonCode })
    client.on('error', reject)
    client.on('close', () => {
      reject(new Error('closed'))
      say({ event: 'end', client: o.client, reason })
    })
    client.on('connect', (connack) => resolve({ present: connack.sessionPresent === true, id: client.options.clientId }))
  })
}

const commands = {
  connect,
  async publish (o) {
    await clients.get(o.client).publishAsync(o.topic, bytes(o.payload), { qos: o.qos, retain: o.retain, properties: propertiesTo(o.properties) })
  },
  async stream (o) {
    // MQTT.js sends however many it is given: the Receive Maximum is ours to keep.
    const client = clients.get(o.client)
    const sent = []
    for (let n = 0; n < o.count; n++) {
      if (n >= receiveMaximum) await sent[n - receiveMaximum]
      sent.push(client.publishAsync(o.topic, String(n), { qos: o.qos }))
    }
    await Promise.all(sent)
  },
  async subscribe (o) {
    const options = { qos: o.qos }
    if (o.version === 5) {
      Object.assign(options, { nl: o.noLocal, rap: o.retainAsPublished, rh: o.retainHandling })
      if (o.subscriptionIdentifier) options.properties = { subscriptionIdentifier: o.subscriptionIdentifier }
    }
    const granted = await clients.get(o.client).subscribeAsync(o.filter, options)
    return { granted: granted[0].qos }
  },
  async unsubscribe (o) {
    await clients.get(o.client).unsubscribeAsync(o.filter)
  },
  async disconnect (o) {
    await clients.get(o.client).endAsync()
  },
  async cut (o) {
    clients.get(o.client).stream.destroy()
  }
}

const input = readline.createInterface({ input: process.stdin, crlfDelay: Infinity })
input.on('line', (line) => {
  const o = JSON.parse(line)
  const closed = o.command === 'connect' || o.command === 'disconnect' || o.command === 'cut' ? [] : [clients.get(o.client).closed]
  Promise.race([commands[o.command](o), ...closed]).then(
    (answer) => say({ answer: o.number, ...answer }),
    (error) => say({ answer: o.number, error: String(error.message || error) }))
})
input.on('close', () => process.exit(0))
