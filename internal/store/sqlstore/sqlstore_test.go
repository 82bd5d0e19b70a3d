package sqlstore

import (
	"path/filepath"
	"testing"

	"github.com/pando-pki/pando/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) storetest.Store {
		return openWith(t, dir, Options{recent: 5}) // claims are being moved all the time
	})
}

// open opens the database in dir; the test closes it.
func open(t *testing.T, dir string) *Store {
	t.Helper()
	return openWith(t, dir, Options{})
}

func openWith(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(dir, "pando.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
