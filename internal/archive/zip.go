package archive

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
)

// Signatures and sizes of zip's structures: PKWARE's APPNOTE.TXT 6.3.10, 4.3.
const (
	localSignature     = 0x04034b50 // 4.3.7
	centralSignature   = 0x02014b50 // 4.3.12
	end64Signature     = 0x06064b50 // 4.3.14
	locator64Signature = 0x07064b50 // 4.3.15
	endSignature       = 0x06054b50 // 4.3.16

	localSize     = 30
	centralSize   = 46
	end64Size     = 56
	locator64Size = 20
	endSize       = 22

	zip64Extra = 1 // 4.5.3

	stored   = 0
	deflated = 8
)

// Bits of the general purpose flags, 4.4.4, and of the external attributes as
// Unix writes them in the upper half, 4.4.15.
const (
	flagEncrypted  = 1<<0 | 1<<6 | 1<<13
	flagDescriptor = 1 << 3

	unixType    = 0o170000
	unixRegular = 0o100000
	unixFolder  = 0o040000
	dosDir      = 0x10
)

// NewZip returns a reader of a zip archive of size bytes, which may be zip64. The
// central directory is what counts, and is read entry by entry, never as a whole. Refused
// are archives that two readers could take for different ones: with something before
// or after, with more than one end, or with entries that overlap or stand in
// another order than the directory has them, as no common writer makes.
func NewZip(r io.ReaderAt, size int64, l Limits) (Reader, error) {
	z := &zipReader{meter: meter{Limits: l}, r: r, seen: NewNames()}
	if err := z.findDirectory(size); err != nil {
		return nil, err
	}
	if z.count > uint64(l.Entries) {
		return nil, malformed("the archive has %d entries; %d are read at most", z.count, l.Entries)
	}
	z.directory = bufio.NewReaderSize(io.NewSectionReader(r, z.start, z.length), 64<<10)
	z.content = bufio.NewReader(nil)
	return z, nil
}

type zipReader struct {
	meter
	r             io.ReaderAt
	start, length int64  // of the directory
	count         uint64 // of its entries
	directory     *bufio.Reader
	taken         int64 // bytes of the directory that were read
	past          int64 // where the last entry's data ended
	packed        int64 // bytes of the entries that were unpacked
	seen          *Names
	head          []byte
	content       *bufio.Reader
	inflate       io.ReadCloser
	buf           []byte
}

// findDirectory reads the end of central directory record, and zip64's where
// there is one.
func (z *zipReader) findDirectory(size int64) error {
	tail := make([]byte, min(size, endSize+math.MaxUint16))
	if _, err := z.r.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	at := -1
	for i := len(tail) - endSize; i >= 0; i-- {
		if binary.LittleEndian.Uint32(tail[i:]) != endSignature || i+endSize+int(binary.LittleEndian.Uint16(tail[i+20:])) != len(tail) {
			continue
		}
		if at >= 0 {
			return malformed("the zip archive has two ends")
		}
		at = i
	}
	if at < 0 {
		return malformed("it is not a zip archive, or its end is missing")
	}
	end := tail[at:]
	disk, diskWithDirectory := binary.LittleEndian.Uint16(end[4:]), binary.LittleEndian.Uint16(end[6:])
	here, count := uint64(binary.LittleEndian.Uint16(end[8:])), uint64(binary.LittleEndian.Uint16(end[10:]))
	length, start := uint64(binary.LittleEndian.Uint32(end[12:])), uint64(binary.LittleEndian.Uint32(end[16:]))
	position := uint64(size-int64(len(tail))) + uint64(at)
	if disk == math.MaxUint16 || here == math.MaxUint16 || count == math.MaxUint16 || length == math.MaxUint32 || start == math.MaxUint32 {
		end64, err := z.end64(position)
		if err != nil {
			return err
		}
		if end64 != nil {
			position -= locator64Size + end64Size
			here, count = binary.LittleEndian.Uint64(end64[24:]), binary.LittleEndian.Uint64(end64[32:])
			length, start = binary.LittleEndian.Uint64(end64[40:]), binary.LittleEndian.Uint64(end64[48:])
			disk, diskWithDirectory = 0, 0
			if binary.LittleEndian.Uint64(end64[16:]) != 0 { // both numbers of disks
				disk = 1
			}
		}
	}
	switch {
	case disk != 0 || diskWithDirectory != 0 || here != count:
		return malformed("the zip archive is one of several parts")
	case start > position || length != position-start:
		return malformed("the zip archive's directory is not where its end says: something stands before or after it")
	case count > length/centralSize:
		return malformed("the zip archive's directory is too small for %d entries", count)
	}
	z.start, z.length, z.count = int64(start), int64(length), count
	return nil
}

// end64 returns the zip64 end record, whose locator is right before the end
// record at position; nil where there is none.
func (z *zipReader) end64(position uint64) ([]byte, error) {
	if position < locator64Size+end64Size {
		return nil, nil
	}
	both := make([]byte, end64Size+locator64Size)
	if _, err := z.r.ReadAt(both, int64(position)-int64(len(both))); err != nil {
		return nil, err
	}
	locator := both[end64Size:]
	if binary.LittleEndian.Uint32(locator) != locator64Signature {
		return nil, nil
	}
	if binary.LittleEndian.Uint32(both) != end64Signature || binary.LittleEndian.Uint64(locator[8:]) != position-uint64(len(both)) ||
		binary.LittleEndian.Uint64(both[4:]) != end64Size-12 {
		return nil, malformed("the zip archive's zip64 end is not where it should be")
	}
	return both[:end64Size], nil
}

// A zipEntry is an entry of the directory.
type zipEntry struct {
	name                string
	creator             byte // system that made it
	flags, method       uint16
	crc                 uint32
	packed, size, local uint64
	attributes          uint32
}

// Next implements Reader.
func (z *zipReader) Next() (*Entry, error) {
	for z.entries < int64(z.count) {
		h, err := z.header()
		if err != nil {
			return nil, err
		}
		if err := z.entry(); err != nil {
			return nil, err
		}
		data, mismatch, err := z.locate(h)
		if err != nil {
			return nil, err
		}
		if h.isDir() || h.special() == "" && junk(h.name) {
			continue
		}
		e := &Entry{Name: h.name}
		switch e.Problem = checkName(h.name); {
		case e.Problem != "":
		case h.special() != "":
			e.Problem = h.special()
		case mismatch:
			e.Problem = "the archive's directory says other things of it than it does itself"
		case h.size > uint64(z.Entry):
			e.Problem = z.tooLarge(h.size)
		case !z.seen.Add(h.name):
			e.Problem = "its name stood in the archive before, and only the first is taken"
		default:
			z.packed += int64(h.packed)
			if err := z.unpack(int64(h.size), z.packed); err != nil {
				return nil, err
			}
			if e.Content, e.Problem, err = z.read(h, data); err != nil {
				return nil, err
			}
		}
		return e, nil
	}
	if z.taken != z.length {
		return nil, malformed("the zip archive's directory has more than its %d entries", z.count)
	}
	return nil, io.EOF
}

// header reads the next header of the directory.
func (z *zipReader) header() (*zipEntry, error) {
	fixed, err := z.take(centralSize)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if le.Uint32(fixed) != centralSignature {
		return nil, malformed("the zip archive's directory is damaged after entry %d", z.entries)
	}
	h := &zipEntry{
		creator: fixed[5], flags: le.Uint16(fixed[8:]), method: le.Uint16(fixed[10:]), crc: le.Uint32(fixed[16:]),
		packed: uint64(le.Uint32(fixed[20:])), size: uint64(le.Uint32(fixed[24:])),
		attributes: le.Uint32(fixed[38:]), local: uint64(le.Uint32(fixed[42:])),
	}
	nameLen, extraLen, commentLen := int(le.Uint16(fixed[28:])), int(le.Uint16(fixed[30:])), int(le.Uint16(fixed[32:]))
	disk := le.Uint16(fixed[34:])
	rest, err := z.take(nameLen + extraLen + commentLen)
	if err != nil {
		return nil, err
	}
	h.name = strings.ToValidUTF8(string(rest[:nameLen]), "\uFFFD")
	if disk != 0 || !wide(rest[nameLen:nameLen+extraLen], &h.size, &h.packed, &h.local) {
		return nil, malformed("the zip archive's directory is damaged at entry %d", z.entries+1)
	}
	return h, nil
}

// take reads the next n bytes of the directory.
func (z *zipReader) take(n int) ([]byte, error) {
	if z.length-z.taken < int64(n) {
		return nil, malformed("the zip archive's directory ends after entry %d of %d", z.entries, z.count)
	}
	z.head = slices.Grow(z.head[:0], n)[:n]
	_, err := io.ReadFull(z.directory, z.head)
	z.taken += int64(n)
	return z.head, err
}

// wide puts the values of the zip64 extra field in the place of those that say
// that they are there, in the order of 4.5.3.
func wide(extra []byte, values ...*uint64) bool {
	var from []byte
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if n > len(extra)-4 {
			break // not in the form of 4.5.1: some writers pad
		}
		if id == zip64Extra {
			from = extra[4 : 4+n]
			break
		}
		extra = extra[4+n:]
	}
	for _, v := range values {
		if *v != math.MaxUint32 {
			continue
		}
		if len(from) < 8 {
			return false
		}
		*v, from = binary.LittleEndian.Uint64(from), from[8:]
	}
	return true
}

// locate reads an entry's local header and returns where its data begins, and
// whether the header says other things than the directory.
func (z *zipReader) locate(h *zipEntry) (data int64, mismatch bool, err error) {
	limit := uint64(z.start)
	switch {
	case z.start < localSize || h.local > limit-localSize:
		return 0, false, malformed("entry %d of the zip archive is not where the directory says", z.entries)
	case z.entries == 1 && h.local != 0:
		return 0, false, malformed("something stands before the zip archive's first entry")
	case h.local < uint64(z.past):
		return 0, false, malformed("entry %d of the zip archive overlaps another, or is not in the directory's order", z.entries)
	}
	var fixed [localSize]byte
	if _, err := z.r.ReadAt(fixed[:], int64(h.local)); err != nil {
		return 0, false, err
	}
	le := binary.LittleEndian
	nameLen, extraLen := uint64(le.Uint16(fixed[26:])), uint64(le.Uint16(fixed[28:]))
	begin := h.local + localSize + nameLen + extraLen
	if le.Uint32(fixed[:]) != localSignature || begin > limit || h.packed > limit-begin {
		return 0, false, malformed("entry %d of the zip archive is not where the directory says", z.entries)
	}
	z.past = int64(begin + h.packed)
	variable := make([]byte, nameLen+extraLen)
	if _, err := z.r.ReadAt(variable, int64(h.local)+localSize); err != nil {
		return 0, false, err
	}
	flags := le.Uint16(fixed[6:])
	size, packed := uint64(le.Uint32(fixed[22:])), uint64(le.Uint32(fixed[18:]))
	mismatch = strings.ToValidUTF8(string(variable[:nameLen]), "\uFFFD") != h.name || le.Uint16(fixed[8:]) != h.method ||
		(flags^h.flags)&(flagEncrypted|flagDescriptor) != 0
	if flags&flagDescriptor == 0 {
		mismatch = mismatch || !wide(variable[nameLen:], &size, &packed) || size != h.size || packed != h.packed || le.Uint32(fixed[14:]) != h.crc
	}
	return int64(begin), mismatch, nil
}

func (h *zipEntry) isDir() bool {
	return h.size == 0 && (strings.HasSuffix(h.name, "/") || h.attributes&dosDir != 0)
}

// special returns why an entry is not a plain file that can be read, or "".
func (h *zipEntry) special() string {
	const unix, macOS = 3, 19
	kind := uint32(unixRegular)
	if h.creator == unix || h.creator == macOS {
		if m := h.attributes >> 16 & unixType; m != 0 {
			kind = m
		}
	}
	switch {
	case strings.HasSuffix(h.name, "/") && (kind == unixRegular || kind == unixFolder), kind == unixFolder && h.size > 0:
		return "it is a folder with content"
	case kind != unixRegular:
		return "it is a link or another special file"
	case h.flags&flagEncrypted != 0:
		return "it is encrypted"
	case h.method != stored && h.method != deflated:
		return fmt.Sprintf("it is compressed by method %d; only deflate is read", h.method)
	case h.method == stored && h.packed != h.size:
		return "it is damaged"
	}
	return ""
}

// read unpacks an entry of at most the limit's size.
func (z *zipReader) read(h *zipEntry, data int64) (content []byte, problem string, err error) {
	section := &kept{r: io.NewSectionReader(z.r, data, int64(h.packed))}
	z.content.Reset(section)
	var from io.Reader = z.content
	if h.method == deflated {
		if z.inflate == nil {
			z.inflate = flate.NewReader(z.content)
		} else if err := z.inflate.(flate.Resetter).Reset(z.content, nil); err != nil {
			return nil, "", err
		}
		from = z.inflate
	}
	z.buf = slices.Grow(z.buf[:0], int(h.size)+1)[:h.size+1]
	n, err := io.ReadFull(from, z.buf)
	switch {
	case section.err != nil:
		return nil, "", section.err
	case err != io.ErrUnexpectedEOF && err != io.EOF || uint64(n) != h.size || crc32.ChecksumIEEE(z.buf[:n]) != h.crc:
		return nil, "it is damaged", nil
	}
	return z.buf[:n], "", nil
}

// kept keeps the fault of a reader.
type kept struct {
	r   io.Reader
	err error
}

// Read reads a part.
func (k *kept) Read(b []byte) (int, error) {
	n, err := k.r.Read(b)
	if err != io.EOF {
		k.err = err
	}
	return n, err
}
