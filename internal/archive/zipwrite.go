package archive

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"time"
)

// A Scratch keeps what is written to it for reading; a file does.
type Scratch interface {
	io.Writer
	io.ReaderAt
}

// A ZipWriter writes a zip archive as a stream. Files are stored as they are, so
// that the same files make the same archive, whatever the release; their sizes are
// told before them, so that it can be read as a stream too.
type ZipWriter struct {
	w         io.Writer
	at        uint64 // bytes that were written
	count     uint64
	directory *bufio.Writer // to scratch
	scratch   Scratch
	length    uint64 // of the directory
	time      uint32 // in DOS's form, of every file
	buf       []byte
}

// NewZipWriter returns a writer to w that keeps the archive's directory in scratch
// until the end. Every file gets the given time.
func NewZipWriter(w io.Writer, scratch Scratch, modified time.Time) *ZipWriter {
	t := modified.UTC()
	date := max(t.Year()-1980, 0)<<9 | int(t.Month())<<5 | t.Day()
	clock := t.Hour()<<11 | t.Minute()<<5 | t.Second()/2
	return &ZipWriter{w: w, scratch: scratch, directory: bufio.NewWriterSize(scratch, 32<<10), time: uint32(date)<<16 | uint32(clock)}
}

// Add writes a file. Its name is ASCII, and not taken yet.
func (z *ZipWriter) Add(name string, content []byte) error {
	if err := z.begin(name, uint64(len(content)), crc32.ChecksumIEEE(content)); err != nil {
		return err
	}
	return z.write(content)
}

// AddFrom writes a file of size bytes, with the given CRC-32, from r.
func (z *ZipWriter) AddFrom(name string, r io.Reader, size int64, crc uint32) error {
	if err := z.begin(name, uint64(size), crc); err != nil {
		return err
	}
	n, err := io.CopyN(z.w, r, size)
	z.at += uint64(n)
	return err
}

// begin writes a file's header, and its entry in the directory.
func (z *ZipWriter) begin(name string, size uint64, crc uint32) error {
	offset := z.at
	local := z.header(localSignature, name, size, crc, nil)
	if err := z.write(local); err != nil {
		return err
	}
	z.count++
	central := z.header(centralSignature, name, size, crc, &offset)
	z.length += uint64(len(central))
	_, err := z.directory.Write(central)
	return err
}

// header makes a local header (4.3.7), or with an offset one of the directory
// (4.3.12).
func (z *ZipWriter) header(signature uint32, name string, size uint64, crc uint32, offset *uint64) []byte {
	const unix, version, version64 = 3 << 8, 20, 45
	le := binary.LittleEndian
	var extra []byte
	if size >= math.MaxUint32 {
		extra = le.AppendUint64(le.AppendUint64(extra, size), size)
	}
	if offset != nil && *offset >= math.MaxUint32 {
		extra = le.AppendUint64(extra, *offset)
	}
	if extra != nil {
		extra = append(le.AppendUint16(le.AppendUint16(nil, zip64Extra), uint16(len(extra))), extra...)
	}
	needed := uint16(version)
	if extra != nil {
		needed = version64
	}
	b := le.AppendUint32(z.buf[:0], signature)
	if offset != nil {
		b = le.AppendUint16(b, unix|version64)
	}
	b = le.AppendUint16(b, needed)
	b = le.AppendUint16(b, 0) // flags
	b = le.AppendUint16(b, stored)
	b = le.AppendUint32(b, z.time)
	b = le.AppendUint32(b, crc)
	b = le.AppendUint32(b, narrow(size))
	b = le.AppendUint32(b, narrow(size))
	b = le.AppendUint16(b, uint16(len(name)))
	b = le.AppendUint16(b, uint16(len(extra)))
	if offset != nil {
		b = le.AppendUint16(b, 0) // comment
		b = le.AppendUint16(b, 0) // disk
		b = le.AppendUint16(b, 0) // internal attributes
		b = le.AppendUint32(b, (unixRegular|0o644)<<16)
		b = le.AppendUint32(b, narrow(*offset))
	}
	z.buf = append(append(b, name...), extra...)
	return z.buf
}

// narrow returns a value for a field of 32 bits, which says that zip64 has it
// where it does not fit.
func narrow(v uint64) uint32 { return uint32(min(v, math.MaxUint32)) }

func (z *ZipWriter) write(b []byte) error {
	n, err := z.w.Write(b)
	z.at += uint64(n)
	return err
}

// Close writes the directory and the archive's end. It does not close w.
func (z *ZipWriter) Close() error {
	if err := z.directory.Flush(); err != nil {
		return err
	}
	start := z.at
	if _, err := io.Copy(z.w, io.NewSectionReader(z.scratch, 0, int64(z.length))); err != nil {
		return err
	}
	le := binary.LittleEndian
	var b []byte
	if z.count >= math.MaxUint16 || start >= math.MaxUint32 || z.length >= math.MaxUint32 {
		b = le.AppendUint32(b, end64Signature)
		b = le.AppendUint64(b, end64Size-12)
		b = le.AppendUint32(b, 45<<16|45|3<<8) // versions: needed, made by
		b = le.AppendUint64(b, 0)              // disks
		b = le.AppendUint64(b, z.count)
		b = le.AppendUint64(b, z.count)
		b = le.AppendUint64(b, z.length)
		b = le.AppendUint64(b, start)
		b = le.AppendUint32(b, locator64Signature)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, start+z.length)
		b = le.AppendUint32(b, 1)
	}
	count := uint16(min(z.count, math.MaxUint16))
	b = le.AppendUint32(b, endSignature)
	b = le.AppendUint32(b, 0) // disks
	b = le.AppendUint16(b, count)
	b = le.AppendUint16(b, count)
	b = le.AppendUint32(b, narrow(z.length))
	b = le.AppendUint32(b, narrow(start))
	b = le.AppendUint16(b, 0)
	return z.write(b)
}
