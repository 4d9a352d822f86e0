// Sends events with Segment's own client: node send_events.js HOST WRITE_KEY
const { Analytics } = require('@segment/analytics-node')

const [host, writeKey] = process.argv.slice(2)
const analytics = new Analytics({ host, writeKey, maxRetries: 8, flushAt: 10, flushInterval: 200 })
analytics.on('error', (error) => { console.error(String(error.reason ?? error)); process.exitCode = 1 })

async function send() {
  analytics.group({ userId: 'ana', groupId: 'A', traits: { name: 'Ana Ltd' } })
  const identity = { userId: 'ana', traits: { name: 'Ana', email: 'ana@example.com' } }
  await new Promise((resolve) => analytics.identify(identity, resolve)) // called once both are delivered
  for (let n = 0; n < 25; n++) {
    analytics.track({ userId: 'ana', event: n % 2 ? 'opened' : 'shared', properties: { n } })
    analytics.track({ anonymousId: `guest ${n}`, event: 'opened', context: { groupId: 'B' } })
  }
  analytics.page({ userId: 'ana', name: 'Home', properties: { path: '/' } })
  await analytics.closeAndFlush({ timeout: 60000 })
}

send()
