// SPDX-License-Identifier: GPL-2.0-or-later
// Calls, objects, maps, sorting, floating point, text: what a JIT compiles, and what its run time does itself.
"use strict";

class Point {
    constructor(x, y) { this.x = x; this.y = y; }
    add(o) { return new Point(this.x + o.x, this.y + o.y); }
}

function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

function objects(n) {
    let p = new Point(0, 0);
    const step = new Point(1, 2);
    for (let i = 0; i < n; i++)
        p = p.add(step);
    return p.x + p.y;
}

function maps(n) {
    const m = new Map();
    let sum = 0;
    for (let i = 0; i < n; i++) {
        const key = "k" + i % 5000;
        m.set(key, (m.get(key) || 0) + i);
    }
    for (const v of m.values())
        sum += v;
    return sum;
}

function sort(n) {
    const a = [];
    for (let i = 0, x = 1; i < n; i++) {
        x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
        a.push(x);
    }
    return a.sort((p, q) => p - q)[n >> 1];
}

function matrix(n) {
    const a = new Float64Array(n * n), b = new Float64Array(n * n);
    let trace = 0;
    for (let i = 0; i < n * n; i++) {
        a[i] = i % 7;
        b[i] = i % 11;
    }
    for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
            let s = 0;
            for (let k = 0; k < n; k++)
                s += a[i * n + k] * b[k * n + j];
            trace += i === j ? s : 0;
        }
    return trace;
}

function text(n) {
    const list = JSON.parse("[" + Array(n).fill('{"a":1,"b":[1,2,"x"]}').join(",") + "]");
    return JSON.stringify(list).replace(/"b":\[(\d)/g, (all, digit) => digit + all).length;
}

console.log(fib(36), objects(2e7), maps(3e6), sort(1e6), matrix(400), text(60000));
