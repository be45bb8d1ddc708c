// Talks to an endpoint through Weir with Node's own clients or with undici, and prints a line for each case: ok NAME, or
// FAIL NAME and why.
//
// client.mjs BASE http1|http2 CA RUN node|undici MODULES
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { gunzipSync } from 'node:zlib'

const [base, protocol, caFile, run, library, modules] = process.argv.slice(2)
const ca = readFileSync(caFile)
const two = protocol === 'http2'
const DATA = Buffer.from(Array.from({ length: 102400 }, (_, i) => i % 256))
const TEXT = "A weir makes a river's flow even. ".repeat(1000)

const hold = (got, want) => {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`)
}
const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash('sha256')).digest('hex')
const collect = async body => {
  const parts = []
  for await (const p of body) parts.push(p)
  return Buffer.concat(parts)
}
async function * tenTimes () {
  for (let i = 0; i < 10; i++) yield DATA
}

// Each library is a function that sends a request and gives { status, headers, body (a stream), trailers (a function) }.
const libraries = {
  node: () => two ? http2Client() : http1Client(),
  undici: () => undiciClient()
}

function http1Client () {
  const { request, Agent } = base.startsWith('https') ? https : http
  const agent = new Agent({ keepAlive: true, ca })
  return {
    close: () => agent.destroy(),
    send: (method, path, headers = {}, body) => new Promise((resolve, reject) => {
      const r = request(base + path, { method, headers, agent })
      r.on('error', reject)
      r.on('response', s => resolve({ status: s.statusCode, headers: s.headers, body: s, trailers: () => s.trailers }))
      pour(r, body).catch(reject)
    })
  }
}

function http2Client () {
  const session = http2.connect(base, { ca })
  return {
    close: () => session.close(),
    send: (method, path, headers = {}, body) => new Promise((resolve, reject) => {
      const r = session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === undefined })
      let trailers = {}
      session.once('error', reject)
      r.on('error', reject)
      r.on('trailers', t => { trailers = t })
      r.on('response', h => resolve({ status: h[':status'], headers: h, body: r, trailers: () => trailers }))
      if (body !== undefined) pour(r, body).catch(reject)
    })
  }
}

async function pour (to, body) {
  if (body !== undefined && Symbol.asyncIterator in Object(body)) {
    for await (const p of body) to.write(p)
    to.end()
  } else {
    to.end(body)
  }
}

let undici
function undiciClient (options) {
  undici = createRequire(modules + '/')('undici')
  const dispatcher = new undici.Agent({ allowH2: two, connect: { ca }, ...options })
  return {
    dispatcher,
    close: () => dispatcher.close(),
    send: async (method, path, headers = {}, body) => {
      const r = await undici.request(base + path, { method, headers, body, dispatcher })
      return { status: r.statusCode, headers: r.headers, body: r.body, trailers: () => r.trailers }
    }
  }
}

const client = libraries[library]()
const text = async r => (await collect(r.body)).toString()
const answered = async (method, path, status = 200, headers, body) => {
  const r = await client.send(method, path, headers, body)
  hold(r.status, status)
  return r
}

const cases = {
  get: async () => hold(await text(await answered('GET', '/hello')), 'hello\n'),
  post: async () => {
    const r = await answered('POST', '/echo', 200, { 'content-length': DATA.length }, DATA)
    hold(await text(r), `${DATA.length} false ${sha256(DATA)}`)
  },
  chunked: async () => {
    const r = await answered('POST', '/echo', 200, {}, tenTimes())
    hold(await text(r), `${DATA.length * 10} true ${sha256(...Array(10).fill(DATA))}`)
  },
  large: async () => {
    const r = await answered('GET', '/large?n=16777216')
    const sum = createHash('sha256')
    for await (const p of r.body) sum.update(p)
    hold(sum.digest('hex'), r.headers['digest-hex'])
  },
  head: async () => {
    const r = await answered('HEAD', '/hello')
    hold([r.headers['content-length'], await text(r)], ['6', ''])
  },
  missing: async () => { await text(await answered('GET', '/missing', 404)) },
  gzip: async () => {
    const r = await answered('GET', '/gzip', 200, { 'accept-encoding': 'gzip' })
    hold(r.headers['content-encoding'], 'gzip')
    hold(gunzipSync(await collect(r.body)).toString(), TEXT)
  },
  reuse: async () => {
    // undici takes another connection of a pool of them if one has hardly come free.
    const one = library === 'undici' ? undiciClient({ connections: 1 }) : client
    const ports = new Set()
    for (let i = 0; i < 5; i++) ports.add(await text(await one.send('GET', '/port')))
    hold(ports.size, 1)
    hold(/^\d+$/.test([...ports][0]), true)
  },
  events: async () => {
    const r = await answered('GET', `/events?run=${run}`)
    const got = []
    for await (const p of r.body) {
      for (const [, data] of p.toString().matchAll(/data: (.*)\n\n/g)) {
        got.push(data)
        await text(await answered('GET', `/seen?run=${run}&n=${got.length - 1}`, 204))
      }
    }
    hold(got, ['0', '1', '2', '3', '4'])
  },
  trailers: async () => {
    const r = await answered('GET', '/trailers', 200, { te: 'trailers' })
    hold(await text(r), 'hello\n')
    hold(r.trailers().checked, 'yes')
  }
}
if (library === 'undici') {
  delete cases.trailers // of undici over HTTP/2 there are none
  cases.websocket = () => new Promise((resolve, reject) => {
    const ws = new undici.WebSocket(base.replace('http', 'ws') + '/chat', { dispatcher: new undici.Agent({ connect: { ca } }) })
    const sent = ['a', 'é'.repeat(300), 'x'.repeat(70000)]
    const got = []
    ws.onerror = e => reject(e.error ?? new Error(e.message ?? 'the WebSocket failed'))
    ws.onopen = () => sent.forEach(s => ws.send(s))
    ws.onmessage = m => {
      got.push(m.data)
      if (got.length === sent.length) ws.close(1000, 'done')
    }
    ws.onclose = e => {
      try {
        hold([got, e.code, e.reason], [sent, 1000, 'done'])
        resolve()
      } catch (e) {
        reject(e)
      }
    }
  })
}

for (const [name, run] of Object.entries(cases)) {
  try {
    await run()
    console.log('ok', name)
  } catch (e) {
    console.log('FAIL', name, String(e.cause ?? e).replaceAll('\n', ' '))
  }
}
await client.close()
process.exit(0)
