// Package blob keeps objects outside the store: in a directory, or in a bucket
// that speaks the S3 protocol. What relying parties fetch is published there, and
// what must not be believed from the database alone is anchored there.
//
// Both kinds have the same two ways to write, and no other. Create writes an
// object that never changes. Replace moves a pointer, and does so only from the
// version that the caller has seen, so that of two writers who do not know of each
// other one is told.
//
// Objects are held in memory whole. There is no listing: who publishes knows the
// names.
package blob

import (
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// MaxObject bounds an object that is read or written, in bytes. It is also the
// most that S3 takes in one request.
const MaxObject = 5 << 30

// maxName bounds a name, in bytes. S3 has 1024 for the prefix and the name.
const maxName = 512

// checkName checks a name: segments of a-z, A-Z, 0-9, ".", "_" and "-" between
// slashes, none of which begins with a dot. So it is the same in a file system, in
// a bucket and in a URL, and hidden names are left to the directory itself.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return pki.Errorf(pki.Malformed, "the name of an object has 1 to %d characters", maxName)
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment[0] == '.' || strings.IndexFunc(segment, notInName) >= 0 {
			return pki.Errorf(pki.Malformed, "object %.80q: a name is segments of letters, digits, '.', '_' and '-' between slashes, none of which begins with a dot", name)
		}
	}
	return nil
}

func notInName(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-')
}

// errOther is what Create answers where the name is taken.
func errOther(name string) error {
	return pki.Errorf(pki.Conflict, "object %s is there with other content; an object that was created never changes", name)
}

// errMoved is what Replace answers where it was not the caller's version.
func errMoved(name string) error {
	return pki.Errorf(pki.Conflict, "object %s is not at the version that was read: somebody else wrote it", name)
}

func errNone(name string) error { return pki.Errorf(pki.NotFound, "there is no object %s", name) }

func checkSize(name string, size int64, limit int64) error {
	if size > limit {
		return pki.Errorf(pki.Malformed, "object %s is longer than %d bytes", name, limit)
	}
	return nil
}
