// One database in memory. Each line of standard input is a request, each of standard output its
// answer: {"sql": ..., "parameters": [...], "copy": path} -> {"rows": [[...]]} or {"error": ...}.
// A request with a path in "copy" reads that file for COPY ... FROM '/dev/blob', or writes what
// COPY ... TO '/dev/blob' gives into it. Without parameters the text may hold several statements.
import { readFile, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'

const database = await PGlite.create({ extensions: { vector } })

async function answer ({ sql, parameters, copy }) {
  if (copy) {
    const to = /\bTO '\/dev\/blob'/i.test(sql)
    const blob = to ? undefined : new Blob([await readFile(copy)])
    const result = await database.query(sql, [], { blob })
    if (to) await writeFile(copy, Buffer.from(await result.blob.arrayBuffer()))
    return { rows: [] }
  }
  const options = { rowMode: 'array' }
  if (parameters) return { rows: (await database.query(sql, parameters, options)).rows }
  return { rows: (await database.exec(sql, options)).at(-1)?.rows ?? [] }
}

const asNumber = (_, value) => typeof value === 'bigint' ? Number(value) : value
for await (const line of createInterface({ input: process.stdin })) {
  let said
  try {
    said = await answer(JSON.parse(line))
  } catch (error) {
    said = { error: error.message }
  }
  process.stdout.write(JSON.stringify(said, asNumber) + '\n')
}
await database.close()
