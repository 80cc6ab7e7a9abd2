import { PyDict, PyGlobal, PyList, PyObject, PySet, PyTuple, type PyValue } from './pickleValues';

// Own machine and not the npm package `pickleparser` 0.2.1 (read before this was written): it constructs what a pickle names
// through Reflect.construct, indexes plain objects with a stranger's keys (`__proto__`), decodes 64-bit integers wrongly when
// they are negative, spreads APPENDS onto the call stack, does not check its stack or memo, and reads one pickle a buffer
// where a legacy checkpoint is five in a row followed by raw storages whose position is needed.

/** A pickle that is none, or is damaged. */
export class PickleError extends Error {}
/** The bytes at hand end before the pickle does. */
export class PickleTooShort extends PickleError {}

/** What the owner of a pickle makes of its calls. Both may throw. */
export interface PickleOwner {
  /** A callable would be called. @returns what stands for the result */
  called(callable: PyGlobal | null, args: readonly PyValue[]): PyValue;
  /** A persistent id. */
  persistent(id: PyValue): PyValue;
}

/** Deepest nesting of marks: real pickles have some ten. */
const MAX_MARKS = 10_000;

/** Interprets one pickle (protocols 0 to 5) that begins at `from`. Executes nothing. @returns its value and where it ends */
export function readPickle(bytes: Uint8Array, from: number, owner: PickleOwner): { readonly value: PyValue; readonly end: number } {
  return new Machine(bytes, from, owner).run();
}

class Machine {
  private readonly view: DataView;
  private stack: PyValue[] = [];
  private readonly marks: PyValue[][] = [];
  private readonly memo = new Map<number, PyValue>();
  private readonly globals = new Map<string, PyGlobal>();

  constructor(private readonly bytes: Uint8Array, private at: number, private readonly owner: PickleOwner) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): { value: PyValue; end: number } {
    for (;;) {
      const op = this.byte();
      if (op === 0x2e) return { value: this.pop(), end: this.at }; // STOP
      this.step(op);
    }
  }

  private take(length: number): number {
    const from = this.at;
    if (!Number.isSafeInteger(length) || length < 0) throw new PickleError(`a length of ${length} at byte ${from}`);
    if (from + length > this.bytes.length) throw new PickleTooShort(`it ends at byte ${this.bytes.length}, ${from + length} are needed`);
    this.at = from + length;
    return from;
  }
  private byte(): number { return this.bytes[this.take(1)]; }
  private u16(): number { return this.view.getUint16(this.take(2), true); }
  private u32(): number { return this.view.getUint32(this.take(4), true); }
  private i32(): number { return this.view.getInt32(this.take(4), true); }
  private u64(): number { return Number(this.view.getBigUint64(this.take(8), true)); }
  private raw(length: number): Uint8Array { const from = this.take(length); return this.bytes.subarray(from, this.at); }
  private text(length: number): string { const raw = this.raw(length); return Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('utf8'); }
  private latin1(length: number): string { const raw = this.raw(length); return Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('latin1'); }

  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new PickleTooShort('a line without an end');
    const text = this.text(end - this.at);
    this.at = end + 1;
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  }

  private number(text: string): number | bigint {
    const digits = text.replace(/L$/, '').trim();
    if (!/^[+-]?\d{1,400}$/.test(digits)) throw new PickleError(`no integer: ${digits.slice(0, 20)}`);
    return shrink(BigInt(digits.replace(/^\+/, '')));
  }

  private long(length: number): number | bigint {
    if (length > 1024) throw new PickleError(`an integer of ${length} bytes`);
    let value = 0n;
    const raw = this.raw(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(raw[i]);
    return shrink(length > 0 && raw[length - 1] >= 128 ? value - (1n << BigInt(8 * length)) : value);
  }

  private push(value: PyValue): void { this.stack.push(value); }
  private pop(): PyValue {
    if (this.stack.length === 0) throw new PickleError(`an empty stack at byte ${this.at}`);
    return this.stack.pop() as PyValue;
  }
  private top(): PyValue {
    if (this.stack.length === 0) throw new PickleError(`an empty stack at byte ${this.at}`);
    return this.stack[this.stack.length - 1];
  }
  private mark(): void {
    if (this.marks.length >= MAX_MARKS) throw new PickleError('nested too deeply');
    this.marks.push(this.stack);
    this.stack = [];
  }
  /** Everything since the last mark. */
  private popMark(): PyValue[] {
    const items = this.stack, below = this.marks.pop();
    if (!below) throw new PickleError(`no mark at byte ${this.at}`);
    this.stack = below;
    return items;
  }
  private recall(index: number | bigint): void {
    const value = this.memo.get(Number(index));
    if (value === undefined) throw new PickleError(`memo ${index} was never filled`);
    this.push(value);
  }
  private global(module: PyValue, name: PyValue): PyGlobal {
    if (typeof module !== 'string' || typeof name !== 'string') throw new PickleError('a global whose name is no text');
    const key = `${module}\n${name}`;
    let found = this.globals.get(key);
    if (!found) this.globals.set(key, (found = new PyGlobal(module, name)));
    return found;
  }

  private call(callable: PyValue, args: PyValue): void {
    const items = args instanceof PyTuple || args instanceof PyList ? args.items : null;
    if (items === null) throw new PickleError('a call whose arguments are no tuple');
    this.push(this.owner.called(callable instanceof PyGlobal ? callable : null, items));
  }

  private setItems(items: readonly PyValue[]): void {
    const target = this.top(), dict = target instanceof PyDict ? target : target instanceof PyObject ? target.dict : null;
    if (!dict || items.length % 2 !== 0) throw new PickleError('items set on what is no dictionary');
    for (let i = 0; i < items.length; i += 2) dict.entries.set(items[i], items[i + 1]);
  }

  private addTo(items: readonly PyValue[]): void {
    const target = this.top();
    const list = target instanceof PyList || target instanceof PySet ? target.items : target instanceof PyObject ? target.list : null;
    if (!list) throw new PickleError('items added to what is no list');
    for (const item of items) list.push(item);
  }

  private step(op: number): void {
    switch (op) {
      case 0x80: if (this.byte() > 5) throw new PickleError(`pickle protocol ${this.bytes[this.at - 1]}`); return; // PROTO
      case 0x95: this.take(8); return; // FRAME
      case 0x28: this.mark(); return; // MARK
      case 0x30: if (this.stack.length > 0) this.pop(); else this.popMark(); return; // POP
      case 0x31: this.popMark(); return; // POP_MARK
      case 0x32: this.push(this.top()); return; // DUP
      case 0x70: this.memo.set(Number(this.number(this.line())), this.top()); return; // PUT
      case 0x71: this.memo.set(this.byte(), this.top()); return; // BINPUT
      case 0x72: this.memo.set(this.u32(), this.top()); return; // LONG_BINPUT
      case 0x94: this.memo.set(this.memo.size, this.top()); return; // MEMOIZE
      case 0x67: this.recall(this.number(this.line())); return; // GET
      case 0x68: this.recall(this.byte()); return; // BINGET
      case 0x6a: this.recall(this.u32()); return; // LONG_BINGET
      case 0x4e: this.push(null); return; // NONE
      case 0x88: this.push(true); return; // NEWTRUE
      case 0x89: this.push(false); return; // NEWFALSE
      case 0x49: { const text = this.line(); this.push(text === '01' ? true : text === '00' ? false : this.number(text)); return; } // INT
      case 0x4c: this.push(this.number(this.line())); return; // LONG
      case 0x46: this.push(Number(this.line())); return; // FLOAT
      case 0x4a: this.push(this.i32()); return; // BININT
      case 0x4b: this.push(this.byte()); return; // BININT1
      case 0x4d: this.push(this.u16()); return; // BININT2
      case 0x8a: this.push(this.long(this.byte())); return; // LONG1
      case 0x8b: this.push(this.long(this.u32())); return; // LONG4
      case 0x47: this.push(this.view.getFloat64(this.take(8), false)); return; // BINFLOAT
      case 0x53: this.push(unquoted(this.line())); return; // STRING
      case 0x56: this.push(this.line()); return; // UNICODE
      case 0x54: this.push(this.latin1(this.u32())); return; // BINSTRING
      case 0x55: this.push(this.latin1(this.byte())); return; // SHORT_BINSTRING
      case 0x58: this.push(this.text(this.u32())); return; // BINUNICODE
      case 0x8c: this.push(this.text(this.byte())); return; // SHORT_BINUNICODE
      case 0x8d: this.push(this.text(this.u64())); return; // BINUNICODE8
      case 0x42: this.push(this.raw(this.u32())); return; // BINBYTES
      case 0x43: this.push(this.raw(this.byte())); return; // SHORT_BINBYTES
      case 0x8e: case 0x96: this.push(this.raw(this.u64())); return; // BINBYTES8, BYTEARRAY8
      case 0x29: this.push(new PyTuple([])); return; // EMPTY_TUPLE
      case 0x85: this.push(new PyTuple([this.pop()])); return; // TUPLE1
      case 0x86: { const b = this.pop(), a = this.pop(); this.push(new PyTuple([a, b])); return; } // TUPLE2
      case 0x87: { const c = this.pop(), b = this.pop(), a = this.pop(); this.push(new PyTuple([a, b, c])); return; } // TUPLE3
      case 0x74: this.push(new PyTuple(this.popMark())); return; // TUPLE
      case 0x5d: this.push(new PyList()); return; // EMPTY_LIST
      case 0x6c: { const items = this.popMark(); this.push(new PyList()); this.addTo(items); return; } // LIST
      case 0x61: { const item = this.pop(); this.addTo([item]); return; } // APPEND
      case 0x65: case 0x90: { const items = this.popMark(); this.addTo(items); return; } // APPENDS, ADDITEMS
      case 0x7d: this.push(new PyDict()); return; // EMPTY_DICT
      case 0x64: { const items = this.popMark(); this.push(new PyDict()); this.setItems(items); return; } // DICT
      case 0x73: { const value = this.pop(), key = this.pop(); this.setItems([key, value]); return; } // SETITEM
      case 0x75: { const items = this.popMark(); this.setItems(items); return; } // SETITEMS
      case 0x8f: this.push(new PySet()); return; // EMPTY_SET
      case 0x91: { const items = this.popMark(); this.push(new PySet()); this.addTo(items); return; } // FROZENSET
      case 0x63: { const module = this.line(), name = this.line(); this.push(this.global(module, name)); return; } // GLOBAL
      case 0x93: { const name = this.pop(), module = this.pop(); this.push(this.global(module, name)); return; } // STACK_GLOBAL
      case 0x52: case 0x81: { const args = this.pop(), callable = this.pop(); this.call(callable, args); return; } // REDUCE, NEWOBJ
      case 0x92: { this.pop(); const args = this.pop(), callable = this.pop(); this.call(callable, args); return; } // NEWOBJ_EX
      case 0x69: { const module = this.line(), name = this.line(); this.call(this.global(module, name), new PyTuple(this.popMark())); return; } // INST
      case 0x6f: { const [callable, ...args] = this.popMark(); this.call(callable ?? null, new PyTuple(args)); return; } // OBJ
      case 0x62: { const state = this.pop(), object = this.top(); if (object instanceof PyObject) object.state = state; return; } // BUILD
      case 0x50: this.push(this.owner.persistent(this.line())); return; // PERSID
      case 0x51: this.push(this.owner.persistent(this.pop())); return; // BINPERSID
      case 0x97: case 0x98: throw new PickleError('buffers outside the pickle'); // NEXT_BUFFER, READONLY_BUFFER
      case 0x82: case 0x83: case 0x84: throw new PickleError('an extension code'); // EXT1, EXT2, EXT4
      default: throw new PickleError(`opcode 0x${op.toString(16)} at byte ${this.at - 1}`);
    }
  }
}

const shrink = (value: bigint): number | bigint => (value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value);

function unquoted(line: string): string {
  const quote = line[0];
  if (line.length < 2 || (quote !== '"' && quote !== "'") || line[line.length - 1] !== quote) throw new PickleError('text without quotes');
  return line.slice(1, -1).replace(/\\(['"\\])/g, '$1');
}
