// Package archive reads the files of zip and tar.gz archives one by one, from
// people who may mean harm, in memory that does not grow with the archive; and it
// writes zip archives of any number of files likewise. It writes nothing to a disk
// and knows nothing of what the files are for.
//
// An archive is refused as a whole, with an error of kind Malformed, where it is
// ambiguous or goes beyond a bound; an error of another kind is a fault of what it
// is read from. What is wrong with one file is that entry's Problem, and the others
// go on.
package archive

import (
	"fmt"
	"hash/maphash"
	"path"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// Limits bound what is read. Every field is needed.
type Limits struct {
	Entries int64 // in all, also those that are passed over
	Entry   int64 // bytes of one file
	Total   int64 // bytes that the archive unpacks to
	Ratio   int64 // of unpacked to packed bytes, looked at above Slack
	Slack   int64 // bytes that may be packed however densely
}

// An Entry is one file of an archive.
type Entry struct {
	Name    string // as it is written; it may hold anything
	Problem string // why it is not read; then Content is empty
	Content []byte // valid until the next entry is read
}

// A Reader reads entries in the order of the archive. Directories, and files that
// operating systems add of themselves, are passed over.
type Reader interface {
	// Next returns the next entry, or io.EOF after the last.
	Next() (*Entry, error)
}

// Base returns the last element of an entry's name.
func (e *Entry) Base() string { return path.Base(e.Name) }

func malformed(format string, args ...any) error {
	return pki.Errorf(pki.Malformed, format, args...)
}

// junk reports whether a file is one that macOS or Windows adds of itself.
func junk(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(base, "._") || slices.Contains([]string{".DS_Store", "Thumbs.db", "desktop.ini"}, base) ||
		slices.Contains(strings.Split(name, "/"), "__MACOSX")
}

// checkName returns what is wrong with an entry's name, or "". Nothing is ever
// written under such a name; one that would lead out of a folder is refused since
// whoever wrote it meant no good.
func checkName(name string) string {
	switch {
	case strings.HasPrefix(name, "/"), len(name) > 1 && name[1] == ':':
		return "its name is absolute"
	case slices.Contains(strings.Split(name, "/"), ".."):
		return `its name has ".." in it`
	case strings.Contains(name, `\`):
		return `its name has "\" in it; folders are separated by "/"`
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
		return "its name has characters that cannot be printed"
	}
	return ""
}

// Names tells names that were there before. It keeps 64 bits of a keyed hash of
// each, so that ten million take 80 MiB; that two names are taken for one has a
// chance of one in 300,000 then, and a sender cannot make it happen.
type Names struct {
	seed   maphash.Seed
	shards [4096][]uint64 // by the hash's upper bits; each is sorted
}

// NewNames returns an empty set.
func NewNames() *Names { return &Names{seed: maphash.MakeSeed()} }

// Add reports whether the name is new.
func (n *Names) Add(name string) bool {
	h := maphash.String(n.seed, name)
	shard := &n.shards[h>>52]
	at, there := slices.BinarySearch(*shard, h)
	if !there {
		*shard = slices.Insert(*shard, at, h)
	}
	return !there
}

// A meter holds an archive to its limits as it is unpacked.
type meter struct {
	Limits
	entries  int64
	unpacked int64
}

// entry counts one more entry.
func (m *meter) entry() error {
	if m.entries++; m.entries > m.Entries {
		return malformed("the archive has more than %d entries", m.Entries)
	}
	return nil
}

// unpack counts n more bytes, of all that come out of the given number of packed
// bytes.
func (m *meter) unpack(n, packed int64) error {
	m.unpacked += n
	switch {
	case m.unpacked > m.Total:
		return malformed("the archive unpacks to more than %d bytes", m.Total)
	case m.unpacked > m.Slack && m.unpacked/m.Ratio > packed:
		return malformed("the archive unpacks to more than %d times its size", m.Ratio)
	}
	return nil
}

// tooLarge is the Problem of a file above the limit.
func (m *meter) tooLarge(size uint64) string {
	return fmt.Sprintf("it has %d bytes; %d are read at most", size, m.Entry)
}
