// The JavaScript half of the control protocol: one JSON object a line, as described in ../foreign.py.
// Shared by the browser page and by the node peer; each brings a `Connection` of its own shape:
//   new Connection(config, {candidate, channel, state})     callbacks: (candidate|null, mid), (channel), (state)
//   createChannel(label, init) -> channel; createOffer(), createAnswer(), localDescription() -> sdp; setRemote(type, sdp); addCandidate(candidate, mid);
//   close(); stats(); a channel: describe(), send(string|Uint8Array), close(), bufferedAmount(), listen({open, message, closed})

const TABLE_SIZE = 65536;
const SEND_HIGH_WATER = 1 << 20;

const TABLE = (() => {
  const words = new DataView(new ArrayBuffer(TABLE_SIZE));
  let state = 2463534242;
  for (let offset = 0; offset < TABLE_SIZE; offset += 4) {
    state = (state ^ (state << 13)) >>> 0;
    state = (state ^ (state >>> 17)) >>> 0;
    state = (state ^ (state << 5)) >>> 0;
    words.setUint32(offset, state, true);
  }
  return new Uint8Array(words.buffer);
})();

function makeBytes(seed, index, size) {
  const out = new Uint8Array(size);
  let from = (seed * 31 + index * 7919) % TABLE_SIZE;
  for (let to = 0; to < size; ) {
    const part = TABLE.subarray(from, Math.min(TABLE_SIZE, from + size - to));
    out.set(part, to);
    to += part.length;
    from = 0;
  }
  return out;
}

function makeMessage(seed, index, sizes) {
  const size = sizes[index % sizes.length];
  if (index % 4 !== 3) return makeBytes(seed, index, size);
  return Array.from(makeBytes(seed, index, size >> 1), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function digest(messages) {
  const encoder = new TextEncoder();
  const parts = messages.map((message) =>
    typeof message === 'string' ? ['t', encoder.encode(message)] : ['b', message]);
  const all = new Uint8Array(parts.reduce((sum, [, data]) => sum + 5 + data.length, 0));
  let offset = 0;
  for (const [kind, data] of parts) {
    all[offset] = kind.charCodeAt(0);
    new DataView(all.buffer).setUint32(offset + 1, data.length);
    all.set(data, offset + 5);
    offset += 5 + data.length;
  }
  const sum = new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', all));
  return Array.from(sum, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function toBase64(bytes) {
  let binary = '';
  for (let i = 0; i < bytes.length; i += 32768) binary += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(binary);
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export class Host {
  constructor(Connection, emit) {
    this.Connection = Connection;
    this.emit = emit;
    this.connection = null;
    this.channels = new Map();
    this.generation = 0;
  }

  // Never throws: what went wrong is in the reply.
  async handle(request) {
    try {
      this.emit({ id: request.id, ok: (await this[`do_${request.do}`](request)) ?? null });
    } catch (error) {
      this.emit({ id: request.id, error: `${error?.name ?? 'Error'}: ${error?.message ?? error}` });
    }
  }

  do_create({ generation, config }) {
    this.connection?.close();
    this.channels = new Map();
    this.generation = generation;
    const event = (name, fields) => this.emit({ generation, event: name, ...fields });
    this.connection = new this.Connection(config ?? {}, {
      candidate: (candidate, mid) => event('candidate', { candidate, mid }),
      state: (state) => event('state', { state }),
      channel: (channel) => this.#adopt(channel, generation, true),
    });
  }

  #adopt(channel, generation, incoming) {
    const key = `c${this.channels.size}`;
    const entry = { channel, collecting: null };
    this.channels.set(key, entry);
    const event = (name, fields) => this.emit({ generation, event: name, key, ...fields });
    if (incoming) event('channel', channel.describe());
    channel.listen({
      open: () => event('open', channel.describe()),
      closed: () => event('closed', {}),
      message: async (message) => {
        if (entry.collecting !== null) {
          entry.collecting.messages.push(message);
          const { messages, count } = entry.collecting;
          if (messages.length < count) return;
          entry.collecting = null;
          event('collected', { count, digest: await digest(messages) });
        } else if (typeof message === 'string') event('message', { text: message });
        else event('message', { base64: toBase64(message) });
      },
    });
    return key;
  }

  do_create_channel({ label, init }) {
    const channel = this.connection.createChannel(label, init);
    return { key: this.#adopt(channel, this.generation, false) };
  }

  do_add_media({ kind }) {
    this.connection.addMedia(kind);
  }

  async do_create_offer() {
    // No peer offers an m=application section without a channel; this one is never spoken of on the wire.
    if (this.channels.size === 0) this.connection.createChannel('bootstrap', { negotiated: true, id: 1000 });
    return { sdp: await this.connection.createOffer() };
  }

  async do_create_answer() {
    return { sdp: await this.connection.createAnswer() };
  }

  // With the candidates found so far.
  do_local_description() {
    return { sdp: this.connection.localDescription() };
  }

  async do_set_remote({ type, sdp }) {
    await this.connection.setRemote(type, sdp);
  }

  async do_add_candidate({ candidate, mid }) {
    await this.connection.addCandidate(candidate, mid);
  }

  do_restart_ice() {
    this.connection.restartIce();
  }

  do_send({ key, text, base64 }) {
    this.channels.get(key).channel.send(text ?? fromBase64(base64));
  }

  async do_send_many({ key, seed, count, sizes }) {
    const { channel } = this.channels.get(key);
    for (let index = 0; index < count; index++) {
      channel.send(makeMessage(seed, index, sizes));
      while (channel.bufferedAmount() > SEND_HIGH_WATER) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  do_collect({ key, count }) {
    this.channels.get(key).collecting = { count, messages: [] };
  }

  do_close_channel({ key }) {
    this.channels.get(key).channel.close();
  }

  do_close() {
    this.connection?.close();
    this.connection = null;
  }

  async do_stats() {
    return await this.connection.stats();
  }
}
