package publish

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

const (
	// maxObject bounds what is read from a target, in bytes: a CRL of some 27
	// million entries.
	maxObject = 1 << 30
	// attempts is how often the pointer is read and moved anew when somebody else
	// moved it meanwhile.
	attempts = 5
)

// contentType is that of CRLs (RFC 2585, 4.2).
const contentType = "application/pkix-crl"

// objectName returns the name of the object that one CRL is.
func objectName(list revocation.List, number int64) string {
	return strings.TrimSuffix(list.Path(), ".crl") + "/" + strconv.FormatInt(number, 10) + ".crl"
}

// publishList brings the latest CRL of a list to the target: the object first, then
// the pointer. Of the objects before it the last one stays.
func (l *lane) publishList(ctx context.Context, list revocation.List, again bool) error {
	crl, err := l.latest(ctx, list)
	if crl == nil || err != nil {
		return err
	}
	at, known := l.pointer(list)
	if again {
		known = false
	}
	created := int64(0)
	for range attempts {
		if !known {
			var behind bool
			if at, behind, err = l.read(ctx, list, crl); err != nil {
				return err
			}
			if behind { // the store makes another, for which the target is read anew
				l.forgetPointer(list)
				return nil
			}
			// What the target has was compared with a later one than the first, perhaps.
			if crl, err = l.latest(ctx, list); crl == nil || err != nil {
				return err
			}
		}
		switch {
		case at.number == crl.Number:
			l.setPointer(list, at)
			return nil
		case at.number > crl.Number:
			return pki.Errorf(pki.Conflict, "the target %s has CRL number %d of %s, the store number %d: the store is older than what was published", l.name, at.number, list, crl.Number)
		}
		if created != crl.Number {
			if err := l.target.Create(ctx, objectName(list, crl.Number), crl.DER, contentType); err != nil {
				return err
			}
			created = crl.Number
		}
		version, err := l.target.Replace(ctx, list.Path(), at.version, crl.DER, contentType)
		if pki.KindOf(err) == pki.Conflict { // also when an answer was lost
			known = false
			continue
		}
		if err != nil {
			return err
		}
		l.setPointer(list, pointer{crl.Number, at.number, version})
		if at.before > 0 {
			return l.target.Remove(ctx, objectName(list, at.before))
		}
		return nil
	}
	return pki.Errorf(pki.Unavailable, "the pointer of %s was moved by somebody else %d times", list, attempts)
}

// latest returns the latest CRL of a list, nil where its issuer has none any more.
func (l *lane) latest(ctx context.Context, list revocation.List) (*revocation.CRL, error) {
	crl, err := l.source.CRL(ctx, list)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read CRL %s: %w", list, err)
	}
	return crl, nil
}

// read reads a list's pointer from the target. What is no CRL of the list is
// written over; of another CRL of it the store takes over what it lost. behind says
// that the store's latest may not take its place.
func (l *lane) read(ctx context.Context, list revocation.List, latest *revocation.CRL) (at pointer, behind bool, err error) {
	content, version, err := l.target.Read(ctx, list.Path(), maxObject)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return pointer{}, false, nil
	case pki.KindOf(err) == pki.Malformed: // no CRL is so long
		l.log.WarnContext(ctx, "what is published is no CRL of the list; it is removed", "list", list, "error", err)
		return pointer{}, false, l.target.Remove(ctx, list.Path())
	case err != nil:
		return pointer{}, false, err
	case bytes.Equal(content, latest.DER):
		return pointer{number: latest.Number, version: version}, false, nil
	}
	parsed, err := l.source.Verify(ctx, list, content)
	switch pki.KindOf(err) {
	case pki.Malformed, pki.BadProof:
		l.log.WarnContext(ctx, "what is published is no CRL of the list; it is written over", "list", list, "error", err)
		return pointer{version: version}, false, nil
	}
	if err != nil {
		return pointer{}, false, err
	}
	if behind, err = l.source.Recover(ctx, list, content); err != nil {
		return pointer{}, false, err
	}
	return pointer{number: parsed.Number, version: version}, behind, nil
}

func (l *lane) pointer(list revocation.List) (pointer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, known := l.known[list]
	return at, known
}

func (l *lane) setPointer(list revocation.List, at pointer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[list] = at
}

func (l *lane) forgetPointer(list revocation.List) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, list)
}

// publishChain brings an issuer's certificates to the target, once for each
// process.
func (l *lane) publishChain(ctx context.Context, issuer pki.IssuerID) error {
	if l.published[issuer] {
		return nil
	}
	chain, err := l.chains.Chain(ctx, issuer)
	if err != nil {
		return fmt.Errorf("chain of issuer %s: %w", issuer, err)
	}
	for _, form := range revocation.ChainForms() {
		contentType, body, err := revocation.EncodeChain(form, chain)
		if err != nil {
			return err
		}
		if err := l.put(ctx, "ca/"+string(issuer)+"."+form, body, contentType); err != nil {
			return err
		}
	}
	l.published[issuer] = true
	return nil
}

// put has an object be as given.
func (l *lane) put(ctx context.Context, name string, body []byte, contentType string) error {
	have, version, err := l.target.Read(ctx, name, maxObject)
	switch {
	case err == nil && bytes.Equal(have, body):
		return nil
	case err != nil && pki.KindOf(err) != pki.NotFound:
		return err
	}
	_, err = l.target.Replace(ctx, name, version, body, contentType)
	return err
}
