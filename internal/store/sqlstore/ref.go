package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/pando-pki/pando/internal/pki"
)

// A ref is a name that rows written by the million hold as a small number.
type ref struct{ kind, tenant, text string }

func issuerRef(id pki.IssuerID) ref { return ref{"issuer", "", string(id)} }
func tenantRef(id pki.TenantID) ref { return ref{"tenant", "", string(id)} }
func batchRef(id pki.BatchID) ref   { return ref{"batch", "", string(id)} }

func (r ref) isBatch() bool { return r.kind == "batch" }

// askedRef is who asked for a certificate, and at which of its owner's endpoints: "" for
// none. Of a row of a batch it is the endpoint alone. A row needs no more than one number
// for both.
func askedRef(owner pki.TenantID, endpoint, actor string) ref {
	if endpoint == "" {
		return ref{"actor", "", actor}
	}
	return ref{"asked", string(owner), endpoint + "/" + actor}
}

// asked is the reverse of askedRef. An endpoint's name is a slug, without a slash.
func (r ref) asked() (endpoint, actor string) {
	if r.kind != "asked" {
		return "", r.text
	}
	endpoint, actor, _ = strings.Cut(r.text, "/")
	return endpoint, actor
}

func profileRef(p pki.ProfileRef) ref {
	return ref{"profile", string(p.Tenant), p.Name + "/" + strconv.Itoa(p.Version)}
}

// profile is the reverse of profileRef; errNoName where the ref is not a profile's. A profile's name is a slug, without a slash.
func (r ref) profile() (pki.ProfileRef, error) {
	name, text, _ := strings.Cut(r.text, "/")
	version, err := strconv.Atoi(text)
	if r.kind != "profile" || err != nil {
		return pki.ProfileRef{}, fmt.Errorf("%w: %v is not a profile's", errNoName, r)
	}
	return pki.ProfileRef{Tenant: pki.TenantID(r.tenant), Name: name, Version: version}, nil
}

// The names of places and lots are the owner's; an empty one is 0, without a row.
func lotRef(owner pki.TenantID, name string) ref { return ref{"lot", string(owner), name} }

// maxRefs bounds the cache: at about 200 bytes each, 26 MB.
const maxRefs = 1 << 17

// refs caches committed rows of table ref both ways. A row never changes, so
// what is cached stays true. The zero value is empty.
type refs struct {
	mu    sync.RWMutex
	byRef map[ref]int64 // guarded by mu
	byNum map[int64]ref // guarded by mu
}

func (c *refs) num(r ref) (int64, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	num, ok := c.byRef[r]
	return num, ok
}

func (c *refs) ref(num int64) (ref, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, ok := c.byNum[num]
	return r, ok
}

// publish adds rows that are committed.
func (c *refs) publish(rows map[ref]int64) {
	if len(rows) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byRef == nil || len(c.byRef)+len(rows) > maxRefs {
		c.byRef, c.byNum = map[ref]int64{}, map[int64]ref{}
	}
	for r, num := range rows {
		c.byRef[r], c.byNum[num] = num, r
	}
}

const selectRefNum = `SELECT num FROM ref WHERE kind = $1 AND tenant = $2 AND text = $3`

// findRef returns the number of r, or 0 where no row has ever held it.
func (s *Store) findRef(ctx context.Context, r ref) (int64, error) {
	if num, ok := s.refs.num(r); ok {
		return num, nil
	}
	num, err := one(ctx, s.read, scanInt, selectRefNum, r.kind, r.tenant, r.text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("reading a reference: %w", err)
	}
	s.refs.publish(map[ref]int64{r: num})
	return num, nil
}

// intern returns the number of r, which it gives it where it has none. The
// number is cached for others when the transaction is committed.
func (t *tx) intern(r ref) (int64, error) {
	num, _, err := t.internNew(r)
	return num, err
}

// internNew is intern, and tells whether r had no number before.
func (t *tx) internNew(r ref) (num int64, fresh bool, err error) {
	if num, ok := t.refs[r]; ok {
		return num, false, nil
	}
	if num, ok := t.s.refs.num(r); ok {
		return num, false, nil
	}
	num, err = one(context.Background(), t, scanInt, selectRefNum, r.kind, r.tenant, r.text)
	if errors.Is(err, sql.ErrNoRows) {
		fresh = true
		num, err = one(context.Background(), t, scanInt,
			`INSERT INTO ref (kind, tenant, text) VALUES ($1, $2, $3) RETURNING num`, r.kind, r.tenant, r.text)
	}
	if err != nil {
		return 0, false, fmt.Errorf("interning a %s: %w", r.kind, err)
	}
	t.refs[r] = num
	return num, fresh, nil
}

// errNoName says that a number stands for no name of its kind: the row of table
// ref is gone.
var errNoName = errors.New("a name that the row refers to is missing")

// refOf returns what num stands for; the empty ref for 0. It returns errNoName
// where there is none of that number.
func (s *Store) refOf(ctx context.Context, from source, num int64) (ref, error) {
	if num == 0 {
		return ref{}, nil
	}
	if r, ok := s.refs.ref(num); ok {
		return r, nil
	}
	r, err := one(ctx, from, func(row row) (r ref, err error) {
		err = row.Scan(&r.kind, &r.tenant, &r.text)
		return r, err
	}, `SELECT kind, tenant, text FROM ref WHERE num = $1`, num)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ref{}, fmt.Errorf("%w: number %d", errNoName, num)
	case err != nil:
		return ref{}, fmt.Errorf("reading reference %d: %w", num, err)
	}
	if from == s.read { // what a transaction sees may yet be rolled back
		s.refs.publish(map[ref]int64{r: num})
	}
	return r, nil
}
