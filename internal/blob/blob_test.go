package blob

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// A store is what both kinds have; who uses it declares its own.
type store interface {
	Create(ctx context.Context, name string, content []byte, contentType string) error
	Replace(ctx context.Context, name, version string, content []byte, contentType string) (string, error)
	Read(ctx context.Context, name string, limit int64) ([]byte, string, error)
	Remove(ctx context.Context, name string) error
}

// each runs a part of the contract on all kinds, and on all services of buckets. From
// the same place, a store is reopened.
func each(t *testing.T, f func(t *testing.T, reopen func() store)) {
	t.Run("directory", func(t *testing.T) {
		path := t.TempDir()
		f(t, func() store { return OpenDirectory(path) })
	})
	eachService(t, func(t *testing.T, s service) {
		f(t, func() store { return s.open(t, nil) })
	})
}

func TestCreate(t *testing.T) {
	each(t, func(t *testing.T, reopen func() store) {
		s, ctx := reopen(), t.Context()
		for range 2 { // the second is the same again, as after an answer that was lost
			if err := s.Create(ctx, "crl/a/1.crl", []byte("one"), "application/pkix-crl"); err != nil {
				t.Fatal(err)
			}
		}
		for _, other := range []string{"two", "one and more", ""} {
			wantKind(t, s.Create(ctx, "crl/a/1.crl", []byte(other), ""), pki.Conflict)
		}
		if got, _, err := reopen().Read(ctx, "crl/a/1.crl", 100); err != nil || string(got) != "one" {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestReplace(t *testing.T) {
	each(t, func(t *testing.T, reopen func() store) {
		s, ctx := reopen(), t.Context()
		const name = "crl/a/0.crl"
		_, err := s.Replace(ctx, name, "0123456789abcdef0123456789abcdef", []byte("x"), "")
		wantKind(t, err, pki.Conflict)
		first, err := s.Replace(ctx, name, "", []byte("one"), "application/pkix-crl")
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Replace(ctx, name, "", []byte("two"), "")
		wantKind(t, err, pki.Conflict)
		second, err := s.Replace(ctx, name, first, []byte("two"), "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Replace(ctx, name, first, []byte("three"), "")
		wantKind(t, err, pki.Conflict)
		got, version, err := reopen().Read(ctx, name, 3)
		if err != nil || string(got) != "two" || version != second {
			t.Errorf("read %q at %q, %v; want two at %q", got, version, err, second)
		}
	})
}

func TestReadAndRemove(t *testing.T) {
	each(t, func(t *testing.T, reopen func() store) {
		s, ctx := reopen(), t.Context()
		_, _, err := s.Read(ctx, "none", 10)
		wantKind(t, err, pki.NotFound)
		for _, content := range [][]byte{{}, bytes.Repeat([]byte("0123456789"), 200_000)} {
			name := fmt.Sprint("length-", len(content))
			if err := s.Create(ctx, name, content, ""); err != nil {
				t.Fatal(err)
			}
			got, _, err := s.Read(ctx, name, int64(len(content)))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("read %d bytes of %d, %v", len(got), len(content), err)
			}
			if len(content) > 0 {
				_, _, err = s.Read(ctx, name, int64(len(content))-1)
				wantKind(t, err, pki.Malformed)
			}
		}
		for range 2 {
			if err := s.Remove(ctx, "length-0"); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err = s.Read(ctx, "length-0", 10)
		wantKind(t, err, pki.NotFound)
	})
}

// TestLong writes what a service that refuses it does not read to its end.
func TestLong(t *testing.T) {
	each(t, func(t *testing.T, reopen func() store) {
		s, ctx := reopen(), t.Context()
		one, two := bytes.Repeat([]byte("0123456789"), 1<<20), bytes.Repeat([]byte("9876543210"), 1<<20)
		for range 2 { // the same again, as by another server or after a restart
			if err := s.Create(ctx, "object", one, ""); err != nil {
				t.Fatal(err)
			}
			wantKind(t, s.Create(ctx, "object", two, ""), pki.Conflict)
		}
		_, err := s.Replace(ctx, "pointer", "0123456789abcdef0123456789abcdef", one, "")
		wantKind(t, err, pki.Conflict)
		first, err := s.Replace(ctx, "pointer", "", one, "")
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Replace(ctx, "pointer", first, two, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, stale := range []string{"", first} {
			_, err = s.Replace(ctx, "pointer", stale, one, "")
			wantKind(t, err, pki.Conflict)
		}
		for name, want := range map[string][]byte{"object": one, "pointer": two} {
			got, version, err := s.Read(ctx, name, int64(len(want)))
			if err != nil || !bytes.Equal(got, want) || name == "pointer" && version != second {
				t.Errorf("%s has %d bytes at %q, %v", name, len(got), version, err)
			}
		}
	})
}

// TestRace has many writers move one pointer: each step is made once.
func TestRace(t *testing.T) {
	each(t, func(t *testing.T, reopen func() store) {
		const writers, steps = 8, 5
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				s := reopen()
				for made := 0; made < steps; {
					content, version, err := s.Read(t.Context(), "pointer", 1000)
					if err != nil && pki.KindOf(err) != pki.NotFound {
						t.Error(err)
						return
					}
					switch _, err := s.Replace(t.Context(), "pointer", version, append(content, 'x'), ""); {
					case err == nil:
						made++
					case pki.KindOf(err) != pki.Conflict:
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if got, _, err := reopen().Read(t.Context(), "pointer", 1000); err != nil || len(got) != writers*steps {
			t.Errorf("%d steps, %v; want %d", len(got), err, writers*steps)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, reopen func() store) {
		s, ctx := reopen(), t.Context()
		for _, name := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a/.b", "a b", "a\\b", "ä", "a\x00", strings.Repeat("a", maxName+1)} {
			_, _, read := s.Read(ctx, name, 10)
			_, replace := s.Replace(ctx, name, "", nil, "")
			for _, err := range []error{s.Create(ctx, name, nil, ""), replace, read, s.Remove(ctx, name)} {
				wantKind(t, err, pki.Malformed)
			}
		}
	})
}

func wantKind(t *testing.T, err error, kind pki.Kind) {
	t.Helper()
	if err == nil || pki.KindOf(err) != kind {
		t.Errorf("error %v of kind %s; want %s", err, pki.KindOf(err), kind)
	}
}
