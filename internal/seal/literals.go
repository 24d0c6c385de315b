package seal

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// literalMember decodes a gzip member that holds no matches, such as our writer makes of bytea in hex, at several times the speed of a
// decoder that must be ready for matches. It appends to dst and returns how many bytes of src the member takes. False when the member is of
// another kind, or goes beyond src or dst's capacity, or does not have the checksum that it names: then nothing of it may be used, and
// a full decoder has to say what it is.
//
// Source: RFC 1951 (DEFLATE), section 3.2; RFC 1952 (gzip), section 2.3.
func literalMember(dst, src []byte) (out []byte, size int, ok bool) {
	const header, trailer = 10, 8
	if len(src) < header+trailer || src[0] != 0x1f || src[1] != 0x8b || src[2] != 8 || src[3] != 0 { // no name, no comment
		return nil, 0, false
	}
	d := literalDecoder{src: src, at: header, out: dst}
	for last := false; !last; {
		if !d.fill() {
			return nil, 0, false
		}
		last = d.take(1) == 1
		switch d.take(2) {
		case 0:
			ok = d.stored()
		case 1:
			ok = d.fill() && d.take(7) == 0 // nothing but the end of the block: closing a stream may write that
		case 2:
			ok = d.lengths() && d.literals()
		default:
			ok = false
		}
		if !ok {
			return nil, 0, false
		}
	}
	end := d.at - d.have/8 // the last byte may be used in part
	if end+trailer > len(src) {
		return nil, 0, false
	}
	text := d.out[len(dst):]
	if crc32.ChecksumIEEE(text) != binary.LittleEndian.Uint32(src[end:]) || uint32(len(text)) != binary.LittleEndian.Uint32(src[end+4:]) {
		return nil, 0, false
	}
	return d.out, end + trailer, true
}

const (
	endOfBlock = 256
	tableBits  = 12
	longest    = 15 // bits of a code
)

// literalDecoder reads bits from src, the lowest of each byte first.
type literalDecoder struct {
	src  []byte
	at   int    // the next byte to take bits from
	bits uint64 // taken and not used
	have int    // how many of them
	out  []byte

	length [endOfBlock + 1]uint8 // of each symbol's code, 0 when it has none
	single [1 << tableBits]uint16
	table  [1 << tableBits]uint32 // up to three literals, how many, and the bits that they take
	first  [longest + 1]int32     // by length of codes: the first code, as the bits come
	index  [longest + 2]int32     // and where its symbol stands
	sorted [endOfBlock + 1]uint16 // symbols by code
}

// fill takes bits until there are 56 or more. False when src ends before that, as it may in the last member of a file.
func (d *literalDecoder) fill() bool {
	if d.at+8 > len(d.src) {
		return false
	}
	d.bits |= binary.LittleEndian.Uint64(d.src[d.at:]) << d.have
	d.at += (63 - d.have) >> 3
	d.have |= 56
	return true
}

func (d *literalDecoder) take(n int) int {
	v := int(d.bits & (1<<n - 1))
	d.bits >>= n
	d.have -= n
	return v
}

// stored copies a block that is not compressed.
func (d *literalDecoder) stored() bool {
	d.take(d.have % 8)
	at := d.at - d.have/8
	d.bits, d.have = 0, 0
	if at+4 > len(d.src) {
		return false
	}
	n := int(binary.LittleEndian.Uint16(d.src[at:]))
	if n != int(^binary.LittleEndian.Uint16(d.src[at+2:])) || at+4+n > len(d.src) || len(d.out)+n > cap(d.out) {
		return false
	}
	d.out = append(d.out, d.src[at+4:at+4+n]...)
	d.at = at + 4 + n
	return true
}

// lengthOrder is the order in which the lengths of the codes for lengths come.
var lengthOrder = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// lengths reads the lengths of the codes, and refuses codes of matches.
func (d *literalDecoder) lengths() bool {
	if !d.fill() {
		return false
	}
	symbols, distances, count := d.take(5)+257, d.take(5)+1, d.take(4)+4
	if symbols != endOfBlock+1 {
		return false
	}
	d.length = [endOfBlock + 1]uint8{}
	for i := range count {
		if i == 12 && !d.fill() { // 12 and the 14 bits before are within a fill
			return false
		}
		d.length[lengthOrder[i]] = uint8(d.take(3))
	}
	if !d.build(len(lengthOrder)) {
		return false
	}
	d.length = [endOfBlock + 1]uint8{}
	previous := uint8(0)
	for i := 0; i < symbols+distances; {
		if !d.fill() {
			return false
		}
		symbol := d.symbol()
		value, times := uint8(0), 1
		switch {
		case symbol < 0:
			return false
		case symbol < 16:
			value = uint8(symbol)
		case symbol == 16:
			if i == 0 {
				return false
			}
			value, times = previous, 3+d.take(2)
		case symbol == 17:
			times = 3 + d.take(3)
		default:
			times = 11 + d.take(7)
		}
		if i+times > symbols+distances {
			return false
		}
		for ; times > 0; times-- {
			if i < symbols {
				d.length[i] = value
			}
			i++
		}
		previous = value
	}
	return d.length[endOfBlock] != 0 && d.build(endOfBlock+1)
}

// build makes the tables for the codes of the first n symbols. False when the lengths are those of no code.
func (d *literalDecoder) build(n int) bool {
	var count [longest + 1]int32
	for _, l := range d.length[:n] {
		count[l]++
	}
	count[0] = 0
	code, at, room := int32(0), int32(0), int32(1)
	var next [longest + 1]int32
	for l := 1; l <= longest; l++ {
		code <<= 1
		if room = room<<1 - count[l]; room < 0 {
			return false
		}
		d.first[l], d.index[l], next[l] = code, at, code
		code, at = code+count[l], at+count[l]
	}
	d.index[longest+1] = at
	d.single = [1 << tableBits]uint16{}
	for symbol, l := range d.length[:n] {
		if l == 0 {
			continue
		}
		code := next[l]
		next[l]++
		d.sorted[d.index[l]+code-d.first[l]] = uint16(symbol)
		if l <= tableBits {
			for i := int(bits.Reverse16(uint16(code)) >> (16 - l)); i < len(d.single); i += 1 << l {
				d.single[i] = uint16(symbol)<<4 | uint16(l)
			}
		}
	}
	return true
}

// symbol decodes one symbol, negative when the bits are no code.
func (d *literalDecoder) symbol() int {
	if one := d.single[d.bits&(1<<tableBits-1)]; one != 0 {
		d.take(int(one & 15))
		return int(one >> 4)
	}
	code := int32(0)
	for l := 1; l <= longest; l++ { // a long code, bit by bit
		code = code<<1 | int32(d.bits>>(l-1)&1)
		if n := d.index[l+1] - d.index[l]; code-d.first[l] < n && code >= d.first[l] {
			d.take(l)
			return int(d.sorted[d.index[l]+code-d.first[l]])
		}
	}
	return -1
}

// literals decodes a block.
func (d *literalDecoder) literals() bool {
	for i := range d.table { // as many literals as the bits hold
		var entry, n, used uint32
		for rest := uint32(i); n < 3; n++ {
			one := uint32(d.single[rest])
			l := one & 15
			if one == 0 || one>>4 == endOfBlock || used+l > tableBits {
				break
			}
			entry |= one >> 4 << (8 * n)
			used += l
			rest >>= l
		}
		d.table[i] = entry | n<<24 | used<<26
	}
	out := d.out[:cap(d.out)]
	n := len(d.out)
	for {
		// This loop is why the decoder exists: all that it changes stays in registers.
		src, at, held, have := d.src, d.at, d.bits, d.have
		entry := uint32(1 << 24)
		for entry>>24&3 > 0 {
			if at+8 > len(src) || n+16 > len(out) {
				return false
			}
			held |= binary.LittleEndian.Uint64(src[at:]) << (have & 63)
			at += (63 - have) >> 3
			have |= 56
			entry = d.table[held&(1<<tableBits-1)]
			for range 4 { // 4 times 12 bits are there, and room for what they can hold
				binary.LittleEndian.PutUint32(out[n:], entry)
				n += int(entry >> 24 & 3)
				used := entry >> 26
				held >>= used & 63
				have -= int(used)
				entry = d.table[held&(1<<tableBits-1)]
			}
		}
		d.at, d.bits, d.have = at, held, have
		// A long code, or the end. The bits that are left may be too few for it.
		if !d.fill() {
			return false
		}
		switch symbol := d.symbol(); {
		case symbol < 0:
			return false
		case symbol == endOfBlock:
			d.out = out[:n]
			return true
		default:
			out[n] = byte(symbol)
			n++
		}
	}
}
