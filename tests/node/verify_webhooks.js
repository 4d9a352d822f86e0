// Verifies webhooks with the independent library: reads [{secret, headers, body}, ...], writes what each turned out to be.
const { Webhook } = require('standardwebhooks')

const verified = JSON.parse(require('fs').readFileSync(0, 'utf8')).map(({ secret, headers, body }) => {
  try {
    return new Webhook(secret).verify(body, headers)
  } catch (error) {
    return error.message
  }
})
process.stdout.write(JSON.stringify(verified))
