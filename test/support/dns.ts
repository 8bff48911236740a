import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import type { Lookup } from '../../src/upstream/outbound.ts';

export interface TestDns {
  /** Resolves by asking this server over UDP, for A and AAAA, without any cache. */
  readonly lookup: Lookup;
  /** Each question so far, such as `A rebind.example`. */
  readonly questions: readonly string[];
  /** What was wrong with the packets that came, by the letter of RFC 1035; a test expects it to be empty. */
  readonly violations: readonly string[];
  stop(): Promise<void>;
}

const types = new Map([
  [1, 'A'],
  [28, 'AAAA'],
]);

/**
 * A DNS server that answers each name with what `answer` says at that moment; `null`: the name does not exist. `answer` hears how often
 * the same question came before.
 */
export async function startDns(
  answer: (name: string, before: number) => readonly string[] | null,
  at = { address: '127.0.0.1', port: 0 },
): Promise<TestDns> {
  const socket = createSocket('udp4');
  const questions: string[] = [];
  const violations: string[] = [];
  socket.on('message', (packet, from) => {
    const question = readQuestion(packet);
    if (typeof question === 'string') {
      violations.push(question);
      return;
    }
    const { name, type } = question;
    const asked = `${type} ${name}`;
    const before = questions.filter((earlier) => earlier === asked).length;
    questions.push(asked);
    socket.send(answerPacket(packet, question, answer(name, before)), from.port, from.address);
  });
  socket.bind(at);
  await once(socket, 'listening');
  const resolver = new Resolver({ tries: 1, timeout: 20_000 });
  resolver.setServers([`${at.address}:${socket.address().port}`]);
  const none = (error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENODATA') return [];
    throw error;
  };
  return {
    questions,
    violations,
    async lookup(hostname) {
      const [four, six] = await Promise.all([resolver.resolve4(hostname).catch(none), resolver.resolve6(hostname).catch(none)]);
      return [...four.map((address) => ({ address, family: 4 })), ...six.map((address) => ({ address, family: 6 }))];
    },
    async stop() {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

interface Question {
  readonly name: string;
  readonly type: string;
  /** Where the question's section ends in the packet. */
  readonly end: number;
}

/** RFC 1035, 4.1.1 and 4.1.2; what is wrong where something is. */
function readQuestion(packet: Buffer): Question | string {
  if (packet.length < 17) return `${packet.length} bytes`;
  const flags = packet.readUInt16BE(2);
  // A standard query; only "recursion desired" and the bits of RFC 4035 may be set.
  if ((flags & ~0x0130) !== 0) return `flags ${flags.toString(16)}`;
  const counts = [4, 6, 8].map((offset) => packet.readUInt16BE(offset));
  if (counts.join() !== '1,0,0') return `sections ${counts}`;
  const labels: string[] = [];
  let at = 12;
  for (let length = packet[at] ?? 0; length > 0; length = packet[at] ?? 0) {
    if (length > 63 || at + length >= packet.length) return 'a label that is too long';
    labels.push(packet.toString('latin1', at + 1, at + 1 + length));
    at += length + 1;
  }
  if (at + 5 > packet.length) return 'a question that is cut off';
  const type = types.get(packet.readUInt16BE(at + 1));
  if (type === undefined || packet.readUInt16BE(at + 3) !== 1) return `type or class of ${labels.join('.')}`;
  return { name: labels.join('.').toLowerCase(), type, end: at + 5 };
}

/** RFC 1035, 4.1.3: the addresses of the question's type, good for no time at all. */
function answerPacket(packet: Buffer, { type, end }: Question, addresses: readonly string[] | null): Buffer {
  const records = (addresses ?? []).filter((address) => isIPv4(address) === (type === 'A')).map(record);
  const head = Buffer.from(packet.subarray(0, end));
  head.writeUInt16BE(addresses === null ? 0x8583 : 0x8580, 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt16BE(0, 10);
  return Buffer.concat([head, ...records]);
}

function record(address: string): Buffer {
  const data = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address);
  const fixed = Buffer.alloc(12);
  // The name: a pointer to the question's.
  fixed.writeUInt16BE(0xc00c, 0);
  fixed.writeUInt16BE(isIPv4(address) ? 1 : 28, 2);
  fixed.writeUInt16BE(1, 4);
  fixed.writeUInt16BE(data.length, 10);
  return Buffer.concat([fixed, data]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const gap = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...new Array<string>(gap).fill('0'), ...groups(tail)];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
