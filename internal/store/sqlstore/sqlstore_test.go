package sqlstore

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pando-pki/pando/internal/store/storetest"
)

// TestStore has claims be moved all the time: with the least of memory while their
// intents are open, and with more of it when their certificates are there.
func TestStore(t *testing.T) {
	for _, recent := range []int{5, 24} {
		t.Run(strconv.Itoa(recent), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, dir string) storetest.Store {
				return openWith(t, dir, Options{recent: recent})
			})
		})
	}
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
