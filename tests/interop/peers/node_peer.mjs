// libdatachannel through node-datachannel's native face (its W3C polyfill would be a second thing under test).
// Run with a folder node_modules as the first argument.
import { webcrypto } from 'node:crypto';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { Host } from './protocol.mjs';

globalThis.crypto ??= webcrypto; // Node 18, Debian 12's, has it as a module only

const library = createRequire(join(process.argv[2], '..', 'package.json'))('node-datachannel');
library.initLogger(process.env.INTEROP_DEBUG ? 'Verbose' : 'Warning', (level, message) => process.stderr.write(`${level} ${message}\n`));

class Channel {
  constructor(channel, negotiated) {
    this.channel = channel;
    this.negotiated = negotiated;
  }

  // The native face does not tell a channel's reliability.
  describe() {
    const id = this.channel.getId();
    return { label: this.channel.getLabel(), protocol: this.channel.getProtocol(), channel_id: id >= 0 && id < 65535 ? id : null };
  }

  listen({ open, message, closed }) {
    this.channel.onMessage((data) => message(typeof data === 'string' ? data : new Uint8Array(data)));
    this.channel.onClosed(closed);
    this.channel.onError((text) => process.stderr.write(`channel error: ${text}\n`));
    let told = false;
    const tell = () => { if (!told) { told = true; open(); } };
    this.channel.onOpen(tell);
    if (this.channel.isOpen()) tell();
  }

  send(message) {
    const sent = typeof message === 'string' ? this.channel.sendMessage(message) : this.channel.sendMessageBinary(message);
    return sent;
  }

  close() { this.channel.close(); }
  bufferedAmount() { return this.channel.bufferedAmount(); }
}

// From RTCIceServer to the one string that the library reads.
function iceServer({ urls, username, credential }) {
  if (username === undefined) return urls;
  const [, scheme, place] = /^(turns?):(.*)$/.exec(urls);
  return `${scheme}:${encodeURIComponent(username)}:${encodeURIComponent(credential)}@${place}`;
}

class Connection {
  constructor({ iceServers = [], iceTransportPolicy = 'all' }, { candidate, channel, state }) {
    this.pc = new library.PeerConnection('interop', {
      iceServers: iceServers.map(iceServer), iceTransportPolicy, disableAutoNegotiation: true, maxMessageSize: 262144,
    });
    this.descriptions = [];
    this.waiting = [];
    this.pc.onLocalDescription((sdp) => { const resolve = this.waiting.shift(); if (resolve) resolve(sdp); });
    this.pc.onLocalCandidate((line, mid) => candidate(line, mid));
    this.pc.onGatheringStateChange((gathering) => { if (gathering === 'complete') candidate(null, null); });
    this.pc.onStateChange(state);
    this.pc.onDataChannel((dc) => channel(new Channel(dc)));
  }

  createChannel(label, init = {}) {
    const { ordered, ...rest } = init;
    return new Channel(this.pc.createDataChannel(label, { ...rest, unordered: ordered === false }));
  }

  addMedia(kind) {
    const media = kind === 'audio' ? new library.Audio(kind, 'SendRecv') : new library.Video(kind, 'SendRecv');
    if (kind === 'audio') media.addOpusCodec(111); else media.addH264Codec(96);
    this.tracks = [...(this.tracks ?? []), this.pc.addTrack(media)];
  }

  #describe(type) {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.pc.setLocalDescription(type);
    });
  }

  createOffer() { return this.#describe('offer'); }
  createAnswer() { return this.#describe('answer'); }
  localDescription() { return this.pc.localDescription().sdp; }
  setRemote(type, sdp) { this.pc.setRemoteDescription(sdp, type); }

  addCandidate(candidate, mid) {
    // The library refuses what comes after the end, which trickling cannot avoid.
    if (candidate === null || ['failed', 'closed'].includes(this.pc.state())) return;
    this.pc.addRemoteCandidate(candidate, mid ?? '0');
  }

  close() { this.pc.close(); }

  stats() {
    return {
      max_message_size: this.pc.maxMessageSize(), selected_pair: this.pc.getSelectedCandidatePair(),
      bytes_sent: this.pc.bytesSent(), bytes_received: this.pc.bytesReceived(), rtt: this.pc.rtt(),
    };
  }
}

const emit = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);
const host = new Host(Connection, emit);
emit({ event: 'ready', name: `node-datachannel ${library.getLibraryVersion?.() ?? ''}`.trim() });
createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on('line', (line) => { host.handle(JSON.parse(line)); })
  .on('close', () => process.exit(0));
