"""The loops of `kernels` in Numba: the same arrays, several times as fast; compiled once and kept on disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numba.extending
import numpy as np
from llvmlite import ir

from mynah.ngram.kernels import LN10, NONE, Ids, Keys

_WIDTH = 11
#: Below this many pairs a second thread costs more than it gains.
_WORTH_A_THREAD = 1 << 18
_NONE = np.uint32(NONE)


@numba.njit(cache=True, nogil=True)
def _radix_sort(keys, values, other_keys, other_values, bits):
    """Sort by the low bits of keys, a digit at a time from the lowest; return whether the others hold the result."""
    size = 1 << _WIDTH
    mask = np.uint64(size - 1)
    passes = (bits + _WIDTH - 1) // _WIDTH
    counts = np.zeros((passes, size), np.int64)
    for i in range(len(keys)):
        key = keys[i]
        for digit in range(passes):
            counts[digit, key & mask] += 1
            key >>= np.uint64(_WIDTH)
    swapped = False
    for digit in range(passes):
        shift = np.uint64(digit * _WIDTH)
        index = 0
        alone = False
        for bucket in range(size):
            held = counts[digit, bucket]
            alone = alone or held == len(keys)
            counts[digit, bucket] = index
            index += held
        if alone:
            continue
        if swapped:
            _scatter(other_keys, other_values, keys, values, counts[digit], shift, mask)
        else:
            _scatter(keys, values, other_keys, other_values, counts[digit], shift, mask)
        swapped = not swapped
    return swapped


@numba.njit(cache=True, nogil=True)
def _scatter(keys, values, to_keys, to_values, indices, shift, mask):
    for i in range(len(keys)):
        bucket = (keys[i] >> shift) & mask
        index = indices[bucket]
        to_keys[index] = keys[i]
        to_values[index] = values[i]
        indices[bucket] = index + 1


@numba.njit(cache=True, nogil=True)
def _halve(keys, values, to_keys, to_values, bits):
    """Put what is below some key before what is not, so that about half is on either side; return where it parts."""
    width = min(bits, 16)
    shift = np.uint64(bits - width)
    counts = np.zeros(1 << width, np.int64)
    for i in range(len(keys)):
        counts[keys[i] >> shift] += 1
    below, border = 0, 0
    while border < len(counts) and below + counts[border] <= len(keys) // 2:
        below += counts[border]
        border += 1
    low, high = 0, below
    for i in range(len(keys)):
        if keys[i] >> shift < np.uint64(border):
            to_keys[low] = keys[i]
            to_values[low] = values[i]
            low += 1
        else:
            to_keys[high] = keys[i]
            to_values[high] = values[i]
            high += 1
    return below


def sort_pairs(keys: Keys, values: Ids, bits: int) -> tuple[Keys, Ids]:
    """See `kernels.sort_pairs`; the two halves of the keys are sorted by two threads."""
    other_keys, other_values = np.empty_like(keys), np.empty_like(values)
    if len(keys) < _WORTH_A_THREAD:
        swapped = _radix_sort(keys, values, other_keys, other_values, bits)
        return (other_keys, other_values) if swapped else (keys, values)
    middle = _halve(keys, values, other_keys, other_values, bits)

    def sort(part: slice) -> None:
        arrays = other_keys[part], other_values[part], keys[part], values[part]
        if not _radix_sort(*arrays, bits):
            keys[part], values[part] = other_keys[part], other_values[part]

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(sort, (slice(0, middle), slice(middle, len(keys)))))
    return keys, values


@numba.njit(cache=True, nogil=True)
def pair_keys(ids, tokens, bos, bits):
    """See `kernels.pair_keys`."""
    keys, indices = np.empty(len(tokens), np.uint64), np.empty(len(tokens), np.uint32)
    made = 0
    for i in range(len(tokens)):
        if ids[i] != _NONE and tokens[i] != bos:
            keys[made] = (np.uint64(ids[i]) << np.uint64(bits)) | np.uint64(ids[i + 1])
            indices[made] = i
            made += 1
    return keys[:made], indices[:made]


@numba.njit(cache=True, nogil=True)
def number(keys, before):
    """See `kernels.number`."""
    numbers, begins = np.empty(len(keys), np.uint32), np.empty(len(keys), np.int64)
    made = 0
    for i in range(len(keys)):
        if (keys[i] != keys[i - 1]) if i else (before < 0 or keys[0] != np.uint64(before)):
            begins[made] = i
            made += 1
        numbers[i] = made
    return numbers, begins[:made].copy()


@numba.njit(cache=True, nogil=True)
def add_at(counts, index, low):
    """See `kernels.add_at`."""
    for i in range(len(index)):
        at = np.int64(index[i]) - low
        if 0 <= at < len(counts):
            counts[at] += 1


@numba.njit(cache=True, nogil=True)
def _unpack(words, bits, index):
    """Return one packed integer, uint64."""
    bit = index * bits
    word, shift = bit >> np.uint64(6), bit & np.uint64(63)
    upper = (words[word + np.uint64(1)] << np.uint64(1)) << (np.uint64(63) - shift)
    return ((words[word] >> shift) | upper) & ((np.uint64(1) << bits) - np.uint64(1))


@numba.njit(cache=True, nogil=True)
def _word_of(index, bits):
    """Return which word the number at an index begins in."""
    return np.int64((index * bits) >> np.uint64(6))


@numba.extending.intrinsic
def _prefetch(typing, array, index):
    """Ask for the memory of an item that will be read soon."""

    def generate(context, builder, signature, given):
        data = context.make_array(signature.args[0])(context, builder, given[0]).data
        pointer = builder.gep(data, [given[1]])
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        # to be read; to be kept near; data
        builder.call(function, [pointer, i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return numba.types.void(array, index), generate


#: Searches that go on side by side, so that one works while another waits for memory; each beside those that take
#: about as many steps: sizes 1, to 8, to 64, ...
_BESIDE = 16
_SIZES = 8
#: Memory is asked for so many items before it is needed.
_AHEAD = 16


@numba.njit(cache=True, nogil=True)
def find_children(offsets, offset_bits, tokens, token_bits, parents, wanted):
    """See `kernels.find_children`."""
    offset_bits, token_bits = np.uint64(offset_bits), np.uint64(token_bits)
    one = np.uint64(1)
    found = np.full(len(parents), _NONE, np.uint32)
    # A damaged file must not lead beyond the array.
    limit = np.uint64((len(tokens) - 1) * 64) // token_bits
    low = np.empty((_SIZES, _BESIDE), np.uint64)
    left, token = np.empty_like(low), np.empty_like(low)
    index = np.empty((_SIZES, _BESIDE), np.int64)
    waiting = np.zeros(_SIZES, np.int64)
    for i in range(len(parents)):
        soon = i + _AHEAD
        if soon < len(parents) and parents[soon] != _NONE:
            _prefetch(offsets, _word_of(np.uint64(parents[soon]), offset_bits))
        if parents[i] == _NONE:
            continue
        parent = np.uint64(parents[i])
        begin = _unpack(offsets, offset_bits, parent)
        end = min(_unpack(offsets, offset_bits, parent + one), limit)
        if end <= begin:
            continue
        size, beyond = 0, end - begin - one
        while beyond and size < _SIZES - 1:
            beyond >>= np.uint64(3)
            size += 1
        n = waiting[size]
        low[size, n], left[size, n], token[size, n], index[size, n] = begin, end - begin, wanted[i], i
        _prefetch(tokens, _word_of(begin + ((end - begin) >> one), token_bits))
        waiting[size] = n + 1
        if n + 1 == _BESIDE:
            _search(tokens, token_bits, low[size], left[size], token[size], index[size], _BESIDE, found)
            waiting[size] = 0
    for size in range(_SIZES):
        row = low[size], left[size], token[size], index[size]
        _search(tokens, token_bits, *row, waiting[size], found)
    return found


@numba.njit(cache=True, nogil=True)
def _search(tokens, token_bits, low, left, token, index, beside, found):
    """Look for a token from `low` on, among `left`; write where it stands to its item of `found`."""
    one = np.uint64(1)
    most = one
    for n in range(beside):
        most = max(most, left[n])
    while most > one:
        for n in range(beside):
            half = left[n] >> one
            middle = low[n] + half
            low[n] = middle if _unpack(tokens, token_bits, middle) <= token[n] else low[n]
            left[n] -= half
        most -= most >> one
    for n in range(beside):
        if _unpack(tokens, token_bits, low[n]) == token[n]:
            found[index[n]] = low[n]


def settle(order, contexts, found, backoffs, log_probs, total, orders):
    """See `kernels.settle`."""
    _settle(order, contexts, found, *_parts(backoffs), *_parts(log_probs), total, orders)


def _parts(logs):
    """Return logarithms as values or codes, one of the two empty, and what codes mean."""
    if logs.exact:
        return logs.stored, np.empty(0, np.uint16), logs.least, logs.step
    return np.empty(0, np.float32), logs.stored, logs.least, logs.step


@numba.njit(cache=True, nogil=True)
def _log(values, codes, least, step, index):
    if len(values):
        return np.float64(values[index])
    if codes[index] == 0:
        return -np.inf
    return np.float64(np.float32(least + (codes[index] - 1.0) * step))


@numba.njit(cache=True, nogil=True)
def _settle(
    order,
    contexts,
    found,
    b_values,
    b_codes,
    b_least,
    b_step,
    p_values,
    p_codes,
    p_least,
    p_step,
    total,
    orders,
):
    for i in range(len(contexts)):
        soon = i + _AHEAD
        if soon < len(contexts) and not orders[soon]:
            if found[soon] != _NONE:
                if len(p_values):
                    _prefetch(p_values, np.int64(found[soon]))
                else:
                    _prefetch(p_codes, np.int64(found[soon]))
            elif contexts[soon] != _NONE:
                if len(b_values):
                    _prefetch(b_values, np.int64(contexts[soon]))
                else:
                    _prefetch(b_codes, np.int64(contexts[soon]))
        if orders[i]:
            continue
        if found[i] != _NONE:
            total[i] += _log(p_values, p_codes, p_least, p_step, found[i])
            orders[i] = order
        elif contexts[i] != _NONE:
            total[i] += _log(b_values, b_codes, b_least, b_step, contexts[i])


def scatter(contexts, table, beyond, out):
    """See `kernels.scatter`."""
    packed = table.offsets.words, table.offsets.bits, table.tokens.words, table.tokens.bits
    _scatter_following(contexts, *packed, *_parts(table.log_probs), beyond, out)


@numba.njit(cache=True, nogil=True)
def _scatter_following(
    contexts, offsets, offset_bits, tokens, token_bits, values, codes, least, step, beyond, out
):
    offset_bits, token_bits = np.uint64(offset_bits), np.uint64(token_bits)
    for b in range(len(contexts)):
        if contexts[b] == _NONE:
            continue
        context = np.uint64(contexts[b])
        begin = _unpack(offsets, offset_bits, context)
        end = min(
            _unpack(offsets, offset_bits, context + np.uint64(1)), np.uint64(max(len(values), len(codes)))
        )
        for i in range(np.int64(begin), np.int64(end)):
            token = np.int64(_unpack(tokens, token_bits, np.uint64(i)))
            if token >= out.shape[1]:  # a damaged file
                continue
            log_prob = np.float32(_log(values, codes, least, step, i)) * np.float32(LN10)
            out[b, token] = log_prob + beyond[b]


def arpa_lines(log_probs, rows, backoffs, words):
    """See `kernels.arpa_lines`."""
    sizes = np.diff(words.begins)
    # A number takes at most 14 characters: sign, three digits, point, eight decimals; one more goes between fields.
    room = int(sizes[rows].sum()) + len(rows) * (2 * 14 + 2 + rows.shape[1])
    weights = backoffs if backoffs is not None else np.empty(0, np.float32)
    out = np.empty(room, np.uint8)
    return out[: _arpa_lines(log_probs, rows, weights, words.flat, words.begins, out)].tobytes()


@numba.njit(cache=True, nogil=True)
def _put_number(value, out, at):
    """Write a number with eight decimals; return where the next byte goes."""
    # A float32 times 10**8 is exact in a double, so that this rounds as the plain loop does.
    scaled = np.int64(np.rint(np.float64(value) * 1e8))
    if scaled < 0:
        out[at] = 45
        at += 1
        scaled = -scaled
    whole, rest = scaled // 100_000_000, scaled % 100_000_000
    digits = 1 if whole < 10 else (2 if whole < 100 else 3)
    for n in range(digits):
        out[at + digits - 1 - n] = 48 + whole % 10
        whole //= 10
    at += digits
    out[at] = 46
    for n in range(8):
        out[at + 8 - n] = 48 + rest % 10
        rest //= 10
    return at + 9


@numba.njit(cache=True, nogil=True)
def _arpa_lines(log_probs, rows, backoffs, flat, begins, out):
    at = 0
    for i in range(len(rows)):
        at = _put_number(log_probs[i], out, at)
        for n in range(rows.shape[1]):
            out[at] = 32 if n else 9
            at += 1
            for byte in range(begins[rows[i, n]], begins[rows[i, n] + 1]):
                out[at] = flat[byte]
                at += 1
        if len(backoffs):
            out[at] = 9
            at = _put_number(backoffs[i], out, at + 1)
        out[at] = 10
        at += 1
    return at
