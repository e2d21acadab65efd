// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Asks an engine that shares no code with cowpool (V8, by way of Node.js) what a module's memory holds right after
// instantiation, and compares it byte for byte with the memory of a pool's instance of the module's image.
//
//     node regress/witness.js [--memory=N] LOCKSTEP FILE...
//
// One line per file and a tally:
//     equal    every byte, the length, and all that the module declares
//     refused  the tool made no image, and for a reason that the witness confirms
//     skipped  this node does not compile it: it knows less than the module needs
//     wrong    anything else
// Exit code: 0; 1 when a file is wrong; 2 wrong use.
//
// What is given to V8 is the module with four changes, none of which touches what its data segments say: no start
// function, so that no code runs before we look; its imports renamed to "0", "1", ..., so that two of the same name do
// not clash; an imported memory defined instead, of the same type and so of the same minimum; the memory exported.
// LOCKSTEP image must know --json and --memory-out.
'use strict';
const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const v8 = require('v8');

const SECTION = { CUSTOM: 0, TYPE: 1, IMPORT: 2, MEMORY: 5, GLOBAL: 6, EXPORT: 7, START: 8, DATA: 11 };
// In the order in which a module has them; a custom section may stand anywhere. 12 is the data count, 13 are tags.
const ORDER = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];
const EXPORT_NAME = 'the memory for the witness';
const PAGE_BYTES = 65536;
const CHUNK_BYTES = 4 << 20;

// ---- a reader of its own, of as little as that takes ----

class Reader {
    constructor(bytes, at = 0, end = bytes.length) {
        Object.assign(this, { bytes, at, end });
    }
    byte() {
        if (this.at >= this.end)
            throw new Error(`the bytes end at ${this.end}`);
        return this.bytes[this.at++];
    }
    skip(n) {
        if (n > this.end - this.at)
            throw new Error(`the bytes end at ${this.end}, in the middle of ${n} from ${this.at}`);
        this.at += n;
    }
    // A LEB128 integer without a sign. Exact up to 2^53; a double behind that, which is good enough to compare limits.
    unsigned() {
        let value = 0, scale = 1, byte;
        do {
            byte = this.byte();
            value += (byte & 127) * scale;
            scale *= 128;
        } while (byte & 128);
        return value;
    }
    skipInteger() {
        while (this.byte() & 128);
    }
    name() {
        const length = this.unsigned(), at = this.at;
        this.skip(length);
        return this.bytes.toString('utf8', at, this.at);
    }
    list(item) {
        return Array.from({ length: this.unsigned() }, () => item(this));
    }
    // Value and reference types: one byte, and the heap type behind a (ref null) or (ref).
    type() {
        const code = this.byte();
        if (code === 0x63 || code === 0x64)
            this.skipInteger();
        return code;
    }
    limits() {
        const flags = this.byte();
        const minimum = this.unsigned();
        return {
            minimum, maximum: flags & 1 ? this.unsigned() : null, isShared: !!(flags & 2), is64: !!(flags & 4),
            pageBytes: flags & 8 ? 2 ** this.unsigned() : PAGE_BYTES,
        };
    }
    // A constant expression: the globals that it reads. What it computes is for V8 to say.
    constant() {
        const globals = [];
        for (;;) {
            const code = this.byte();
            if (code === 0x0b)
                return globals;
            if (code === 0x23)
                globals.push(this.unsigned());
            else if ([0x41, 0x42, 0xd0, 0xd2].includes(code)) // i32.const, i64.const, ref.null, ref.func
                this.skipInteger();
            else if (code === 0x43) // f32.const
                this.skip(4);
            else if (code === 0x44) // f64.const
                this.skip(8);
            else if (code === 0xfd && this.unsigned() === 12) // v128.const
                this.skip(16);
            else if (code === 0xfb)
                this.constantOfReferences();
            else if (![0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e].includes(code)) // i32 and i64 add, sub, mul
                throw new Error(`instruction ${code} in a constant expression`);
        }
    }
    constantOfReferences() {
        const code = this.unsigned();
        const nIndices = { 0: 1, 1: 1, 6: 1, 7: 1, 8: 2, 26: 0, 27: 0, 28: 0 }[code]; // struct.new, ... ref.i31
        if (nIndices === undefined)
            throw new Error(`instruction 251 ${code} in a constant expression`);
        for (let i = 0; i < nIndices; i++)
            this.skipInteger();
    }
}

function readImport(reader) {
    reader.name();
    reader.name();
    const at = reader.at, kind = reader.byte(), item = { kind, is: null };
    if (kind === 0) // a function
        reader.skipInteger();
    else if (kind === 1)
        Object.assign(item, { type: reader.type(), is: reader.limits() });
    else if (kind === 2)
        item.is = reader.limits();
    else if (kind === 3)
        Object.assign(item, { type: reader.type(), isMutable: reader.byte() === 1 });
    else if (kind === 4) // a tag: an attribute and a function type
        item.signature = (reader.skip(1), reader.unsigned());
    else
        throw new Error(`an import of kind ${kind}`);
    item.bytes = reader.bytes.subarray(at, reader.at);
    return item;
}

function readDataSegment(reader) {
    const flags = reader.unsigned();
    const memory = flags === 2 ? reader.unsigned() : 0;
    const globals = flags === 1 ? null : reader.constant();
    const length = reader.unsigned();
    reader.skip(length);
    return { memory: flags === 1 ? null : memory, globals, length };
}

function readModule(bytes) {
    const reader = new Reader(bytes, 8);
    const module = {
        sections: [], imports: [], memories: [], globals: [], exports: [], segments: [], types: null,
    };
    const imported = kind => module.imports.filter(item => item.kind === kind);
    while (reader.at < reader.end) {
        const id = reader.byte(), length = reader.unsigned(), at = reader.at;
        reader.skip(length);
        module.sections.push({ id, body: bytes.subarray(at, at + length) });
        const body = new Reader(bytes, at, at + length);
        if (id === SECTION.TYPE)
            module.types = bytes.subarray(at, body.end);
        else if (id === SECTION.IMPORT)
            module.imports = body.list(readImport);
        else if (id === SECTION.MEMORY)
            module.memories = body.list(it => it.limits());
        else if (id === SECTION.GLOBAL)
            module.globals = body.list(it => (it.type(), it.skip(1), it.constant()));
        else if (id === SECTION.EXPORT)
            module.exports = body.list(it => [it.name(), it.skip(1), it.skipInteger()][0]);
        else if (id === SECTION.DATA)
            module.segments = body.list(readDataSegment);
    }
    module.memories = imported(2).map(item => ({ ...item.is, isImported: true })).concat(module.memories);
    module.globals = imported(3).map(() => null).concat(module.globals);
    return module;
}

// The parameters of function type number `index`, as the JS API calls them. Read only where a tag is imported.
function parameters(module, index) {
    const types = new Reader(module.types).list(it => {
        if (it.byte() !== 0x60)
            throw new Error('the type of an imported tag stands among types that are no functions');
        return [it.list(each => each.type()), it.list(each => each.type())];
    });
    return types[index][0].map(type => VALUE_TYPES[type]);
}

const readsImportedGlobal = (module, globals) =>
    globals.some(i => module.globals[i] === null || readsImportedGlobal(module, module.globals[i]));

// ---- the module as it is given to V8 ----

function encoded(value) {
    const bytes = [];
    for (; value > 127; value = Math.floor(value / 128))
        bytes.push(value % 128 + 128);
    return Buffer.from([...bytes, value]);
}
const named = name => Buffer.concat([encoded(Buffer.byteLength(name)), Buffer.from(name)]);
const section = (id, body) => Buffer.concat([Buffer.from([id]), encoded(body.length), body]);

// A section's vector with items before or behind those that are there.
function longerVector(body, items, where) {
    const reader = new Reader(body), n = reader.unsigned(), old = body.subarray(reader.at);
    return Buffer.concat([encoded(n + items.length), ...(where === 'before' ? [...items, old] : [old, ...items])]);
}

function prepared(bytes, module, memory) {
    let name = EXPORT_NAME;
    while (module.exports.includes(name))
        name += '!';
    const others = module.imports.filter(item => item.kind !== 2);
    const memories = module.imports.filter(item => item.kind === 2).map(item => item.bytes.subarray(1));
    const exported = Buffer.concat([named(name), Buffer.from([2]), encoded(memory)]);
    const body = id => (module.sections.find(it => it.id === id) || { body: Buffer.from([0]) }).body;
    const made = new Map([
        [SECTION.IMPORT, Buffer.concat([encoded(others.length),
            ...others.map((item, i) => Buffer.concat([named(''), named(String(i)), item.bytes]))])],
        [SECTION.MEMORY, longerVector(body(SECTION.MEMORY), memories, 'before')],
        [SECTION.EXPORT, longerVector(body(SECTION.EXPORT), [exported], 'behind')],
    ]);
    const kept = module.sections.filter(it => ![SECTION.CUSTOM, SECTION.START].includes(it.id) && !made.has(it.id));
    const all = kept.concat([...made].map(([id, body]) => ({ id, body })));
    all.sort((a, b) => ORDER.indexOf(a.id) - ORDER.indexOf(b.id));
    const changed = Buffer.concat([bytes.subarray(0, 8), ...all.map(it => section(it.id, it.body))]);
    return { name, others, changed };
}

const VALUE_TYPES = { 0x7f: 'i32', 0x7e: 'i64', 0x7d: 'f32', 0x7c: 'f64', 0x70: 'anyfunc', 0x6f: 'externref' };
const ZEROES = { i32: 0, i64: 0n, f32: 0, f64: 0, anyfunc: null, externref: null };

function stub(module, item) {
    const type = VALUE_TYPES[item.type];
    if (item.kind === 0)
        return () => {
            throw new Error('code of the module ran');
        };
    if (item.kind === 4)
        return new WebAssembly.Tag({ parameters: parameters(module, item.signature) });
    if (type === undefined)
        throw new Unable(`no script can make what it imports: a ${item.kind === 1 ? 'table' : 'global'} of type ${item.type}`);
    if (item.kind === 3)
        return new WebAssembly.Global({ value: type, mutable: item.isMutable }, ZEROES[type]);
    const limits = { element: type, initial: item.is.minimum };
    if (item.is.maximum !== null)
        limits.maximum = item.is.maximum;
    return new WebAssembly.Table(limits);
}

// The bytes of the memory after instantiation. Throws what V8 throws.
function memoryByV8(bytes, module, memory) {
    const { name, others, changed } = prepared(bytes, module, memory);
    const imports = { '': Object.fromEntries(others.map((item, i) => [i, stub(module, item)])) };
    return new WebAssembly.Instance(new WebAssembly.Module(changed), imports).exports[name].buffer;
}

// Proposals that this node knows but does not turn on by itself. (A flag that it does not know, it complains about.)
function enableProposals() {
    const options = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8', maxBuffer: 16 << 20 });
    const known = options.stdout || '';
    for (const proposal of ['extended-const', 'memory64', 'multi-memory'])
        if (known.includes(`--experimental-wasm-${proposal} `))
            v8.setFlagsFromString(`--experimental-wasm-${proposal}`);
}

function compileError(bytes) {
    if (WebAssembly.validate(bytes))
        return null;
    try {
        new WebAssembly.Module(bytes);
    } catch (error) {
        return firstLine(error).replace('WebAssembly.Module(): ', '');
    }
    return 'it is not valid';
}

// ---- the tool ----

class Wrong extends Error {}
class Unable extends Error {}
const firstLine = error => String(error.message || error).split('\n')[0];

function runTool(tool, options, okCodes) {
    const all = ['image', ...tool.options, ...options];
    const result = spawnSync(tool.lockstep, all, { encoding: 'utf8', maxBuffer: 64 << 20 });
    if (result.error)
        throw result.error;
    if (!okCodes.includes(result.status)) {
        const end = result.signal ? `of ${result.signal}` : `with exit code ${result.status}`;
        const words = result.stderr.trim().split('\n').pop();
        throw new Wrong(`lockstep image ${options[0]} ended ${end}: ${words || 'it said nothing'}`);
    }
    return result.stdout;
}

function toolSays(tool, file) {
    const line = runTool(tool, ['--json', file], [0, 2]).trim();
    try {
        return JSON.parse(line);
    } catch {
        throw new Wrong(`lockstep image --json printed no JSON: ${line.slice(0, 60)}`);
    }
}

// ---- the comparison ----

function compareDeclared(module, memory, says) {
    const type = module.memories[memory];
    if (!type)
        throw new Wrong(`the module has no memory ${memory}`);
    const mine = module.segments.filter(it => it.memory === memory);
    const bytes = pages => pages === null ? null : pages * type.pageBytes;
    const expected = {
        'memory.index': memory, 'memory.imported': !!type.isImported,
        'memory.shared': type.isShared, 'memory.is_64': type.is64, 'memory.page_bytes': type.pageBytes,
        'memory.minimum_bytes': bytes(type.minimum), 'memory.maximum_bytes': bytes(type.maximum),
        'segments': mine.length, 'other_segments': module.segments.length - mine.length,
        'data_bytes': mine.reduce((sum, it) => sum + it.length, 0),
    };
    for (const [key, value] of Object.entries(expected)) {
        const said = key.split('.').reduce((at, word) => at === null || at === undefined ? at : at[word], says);
        if (said !== value)
            throw new Wrong(`the tool says ${key} ${said}, the module ${value}`);
    }
}

function compareBytes(file, buffer) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const fd = fs.openSync(file, 'r');
    try {
        const { size } = fs.fstatSync(fd);
        if (size !== buffer.byteLength)
            throw new Wrong(`the instance has ${size} bytes, V8's memory ${buffer.byteLength}`);
        for (let at = 0; at < size;) {
            const n = fs.readSync(fd, chunk, 0, Math.min(chunk.length, size - at), at);
            if (n === 0)
                throw new Error(`${file} ended at ${at} of ${size} bytes`);
            const theirs = Buffer.from(buffer, at, n);
            if (theirs.compare(chunk, 0, n) !== 0) {
                const i = theirs.findIndex((byte, k) => byte !== chunk[k]);
                const where = `offset ${at + i} (0x${(at + i).toString(16)})`;
                throw new Wrong(`at ${where} the instance holds ${chunk[i]}, V8's memory ${theirs[i]}`);
            }
            at += n;
        }
    } finally {
        fs.closeSync(fd);
    }
}

// Refusals that say nothing against the module: an engine that compiles it is needed to confirm one.
const OF_GOOD_MODULES = ['wasm-runtime', 'wasm-no-memory', 'image-bounds', 'image-large', 'image-sparse'];

// cowpool.h: COW_MAX_MEMORY_BYTES, COW_IMAGE_MAX_RUNS, COW_IMAGE_JOIN_BYTES.
const MAX_MEMORY_BYTES = 2 ** 32, MAX_RUNS = 16, JOIN_BYTES = 65536;

const bytesOf = type => type.minimum * (type.pageBytes || PAGE_BYTES);

// Stretches of pages that hold a byte other than zero, with more than JOIN_BYTES between them.
function countRuns(buffer) {
    const page = 4096, zero = Buffer.alloc(page);
    let n = 0, end = -Infinity;
    for (let at = 0; at < buffer.byteLength; at += page) {
        const bytes = Buffer.from(buffer, at, Math.min(page, buffer.byteLength - at));
        if (zero.compare(bytes, 0, bytes.length, 0, bytes.length) === 0)
            continue;
        n += at - end > JOIN_BYTES;
        end = at + page;
    }
    return n;
}

// What V8 and the witness's own reader say that bears the refusal out, or Wrong.
function confirmed(refusal, bytes, memory, error) {
    if (error !== null)
        return `V8 does not compile it: ${error}`;
    const module = readModule(bytes), mine = module.segments.filter(it => it.memory === memory);
    if (refusal.name === 'wasm-runtime' && mine.some(it => readsImportedGlobal(module, it.globals)))
        return 'V8 compiles it, and a segment of it lies where an imported global says';
    if (refusal.name === 'wasm-no-memory' && !module.memories[memory])
        return `V8 compiles it, and it has no memory ${memory}`;
    if (refusal.name === 'image-bounds') {
        try {
            memoryByV8(bytes, module, memory);
        } catch (error) {
            if (error instanceof WebAssembly.RuntimeError && /data segment/.test(error.message))
                return `V8 does not instantiate it: ${firstLine(error)}`;
        }
    }
    if (refusal.name === 'image-large' && bytesOf(module.memories[memory]) > MAX_MEMORY_BYTES)
        return 'V8 compiles it, and its memory begins with more than 4 GiB';
    if (refusal.name === 'image-sparse') {
        const n = countRuns(memoryByV8(bytes, module, memory));
        if (n > MAX_RUNS)
            return `V8 instantiates it, with ${n} stretches of data`;
    }
    throw new Wrong(`refused as ${refusal.name} (offset ${refusal.offset}: ${refusal.what}), but V8 compiles it`);
}

function amount(bytes) {
    const [unit, name] = bytes >= 1 << 20 ? [1 << 20, 'MB'] : bytes >= 1 << 10 ? [1 << 10, 'KB'] : [1, 'bytes'];
    return `${Math.round(bytes / unit)} ${name}`;
}

// [verdict, what to say about it]
function examine(tool, file, scratch) {
    const says = toolSays(tool, file), { refusal } = says;
    const bytes = fs.readFileSync(file), error = compileError(bytes);
    if (error !== null && (!refusal || OF_GOOD_MODULES.includes(refusal.name)))
        return ['skipped', `this node does not compile it: ${error}`];
    if (refusal)
        return ['refused', `${refusal.name} at ${refusal.offset}; ${confirmed(refusal, bytes, tool.memory, error)}`];
    const module = readModule(bytes);
    compareDeclared(module, tool.memory, says);
    const buffer = memoryByV8(bytes, module, tool.memory);
    if (buffer.byteLength !== says.memory.minimum_bytes)
        throw new Wrong(`V8's memory has ${buffer.byteLength} bytes, the module declares ${says.memory.minimum_bytes}`);
    fs.rmSync(scratch, { force: true }); // that of the file before
    runTool(tool, ['--memory-out', scratch, file], [0]);
    compareBytes(scratch, buffer);
    return ['equal', `${amount(buffer.byteLength)} of memory, ${says.segments} segments`];
}

// ---- the command line ----

function leave(...words) {
    console.error('witness:', ...words);
    process.exit(2);
}

function readArguments(words) {
    const options = words.filter(word => word.startsWith('--'));
    const [lockstep, ...files] = words.filter(word => !word.startsWith('--'));
    for (const option of options)
        if (!/^--memory=[0-9]{1,9}$/.test(option))
            leave(`${option}: there is --memory=N`);
    if (!files.length || options.length > 1)
        leave('usage: node regress/witness.js [--memory=N] LOCKSTEP FILE...');
    for (const [name, mode] of [[lockstep, fs.constants.X_OK], ...files.map(file => [file, fs.constants.R_OK])]) {
        try {
            fs.accessSync(name, mode);
        } catch {
            leave(mode === fs.constants.X_OK ? `${name} is no program here` : `cannot read ${name}`);
        }
    }
    const memory = options.length ? Number(options[0].slice('--memory='.length)) : 0;
    return { files, tool: { lockstep: path.resolve(lockstep), options, memory } };
}

async function main() {
    const { files, tool } = readArguments(process.argv.slice(2));
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cowpool-witness-'));
    process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
    for (const [signal, number] of [['SIGHUP', 1], ['SIGINT', 2], ['SIGTERM', 15]])
        process.on(signal, () => process.exit(128 + number));
    enableProposals();

    const tally = { equal: 0, refused: 0, skipped: 0, wrong: 0 };
    const width = Math.max(...files.map(file => path.basename(file).length));
    for (const file of files) {
        let verdict;
        try {
            verdict = examine(tool, file, path.join(dir, 'memory'));
        } catch (error) {
            const who = error instanceof Wrong ? '' : 'the witness could not look: ';
            verdict = error instanceof Unable ? ['skipped', error.message] : ['wrong', who + firstLine(error)];
        }
        tally[verdict[0]]++;
        console.log(verdict[0].padEnd(8), path.basename(file).padEnd(width), '', verdict[1]);
        await new Promise(setImmediate); // signals arrive here
    }
    console.log('witness:', Object.entries(tally).map(([name, n]) => `${n} ${name}`).join(', '));
    process.exitCode = tally.wrong ? 1 : 0;
}
main();
