package hierarchy_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// unmade is a store of two authorities whose indexes take some steps; those of one fail
// at first.
type unmade struct {
	hierarchy.Store
	mu    sync.Mutex // guards all below
	left  map[pki.AuthorityID]int
	fails int
	done  []string
}

// state returns how many steps are left of an authority's indexes, and what is done.
func (u *unmade) state(id pki.AuthorityID) (left int, done []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.left[id], slices.Clone(u.done)
}

func (u *unmade) Indexings(context.Context) (all []*pki.Authority, _ error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range []pki.AuthorityID{"damaged", "sound"} {
		if u.left[id] > 0 {
			all = append(all, &pki.Authority{ID: id, Tenant: "acme", Name: string(id), Indexing: &pki.Indexing{Indexes: []pki.SearchIndex{pki.IndexExpiry}}})
		}
	}
	return all, nil
}

func (u *unmade) AdvanceIndexing(_ context.Context, _ pki.TenantID, id pki.AuthorityID, _ int, e pki.Event) (seen int, made bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if id == "damaged" && u.fails > 0 {
		u.fails--
		return 0, false, errors.New("a certificate is damaged")
	}
	u.left[id]--
	if u.left[id] == 0 {
		u.done = append(u.done, e.Action+" "+e.Target)
	}
	return 7, u.left[id] == 0, nil
}

// TestIndexer: an authority whose indexes cannot be made is an alarm until they can,
// and others go on meanwhile.
func TestIndexer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unmade{left: map[pki.AuthorityID]int{"damaged": 2, "sound": 3}, fails: 5}
		board := alarm.NewBoard(time.Now)
		x := hierarchy.NewIndexer(hierarchy.IndexerConfig{
			Store: store, Family: func(id pki.TenantID) pki.TenantID { return id }, Alarms: board, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- x.Run(ctx) }()
		time.Sleep(time.Second)
		key := alarm.Key{Tenant: "acme", Name: "index.failing", Target: "authority:damaged"}
		all := board.All()
		if len(all) != 1 || all[0].Key != key {
			t.Errorf("alarms %+v", all)
		}
		if _, done := store.state("sound"); len(done) != 1 || done[0] != "authority.indexed authority:sound" {
			t.Errorf("done after a second: %v", done)
		}
		time.Sleep(10 * time.Minute)
		if all := board.All(); len(all) != 0 {
			t.Errorf("alarms when all is made: %+v", all)
		}
		if left, done := store.state("damaged"); len(done) != 2 || left != 0 {
			t.Errorf("done in the end: %v, left %d", done, left)
		}
		if s := x.Stats(); s.Certificates.Value() != 5*7 || s.Failures.Value() != 5 {
			t.Errorf("%d certificates were looked at, and %d steps failed", s.Certificates.Value(), s.Failures.Value())
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestIndexOfDamaged: a certificate whose stored bytes are damaged keeps no index from
// being made, and is in that by expiry.
func TestIndexOfDamaged(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	db, err := sql.Open("sqlite", "file:"+s.Path+"?_pragma=busy_timeout(60000)") // others write, too
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	count := func(table string) (n int) {
		t.Helper()
		if err := db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	certificates := count(`certificate WHERE issuer = (SELECT issuer FROM certificate WHERE id = 1)`) // the root's
	if _, err := db.Exec(`UPDATE certificate SET der = CAST(substr(der, 1, length(der)-4) || x'01020304' AS BLOB) WHERE id = 1`); err != nil {
		t.Fatal(err)
	}
	root, err := s.Hierarchy.AddIndexes(t.Context(), manage(t, s), "root", pki.SearchIndexes())
	if err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		if _, done, err = s.Store.AdvanceIndexing(t.Context(), "acme", root.ID, 10, pki.Event{Tenant: "acme"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(`certificate_expiry`); n != certificates || certificates == 0 {
		t.Errorf("%d of %d certificates by expiry", n, certificates)
	}
	if n := count(`certificate_fingerprint`); n != certificates-1 {
		t.Errorf("%d of %d certificates by fingerprint, one of them damaged", n, certificates)
	}
}
