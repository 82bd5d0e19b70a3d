package publish

import (
	"bytes"
	"context"
	"fmt"

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

// publishList brings the latest CRL of a list to the target: the object first, then
// the pointer. Of the objects before it the last one stays.
func (l *lane) publishList(ctx context.Context, list revocation.List, again bool) error {
	crl, err := l.latest(ctx, list)
	if crl == nil || err != nil {
		return err
	}
	left, known := l.pointer(list)
	at := left
	if again {
		known = false
	}
	unread := false // the pointer cannot be read
	created := int64(0)
	for range attempts {
		if !known {
			var behind bool
			switch at, behind, err = l.read(ctx, list, crl); {
			case err == nil:
				unread = false
			case left.number == 0 || left.number > crl.Number || ctx.Err() != nil: // it may be a later one
				return err
			case !unread: // and perhaps is as this process left it
				at, unread = left, true
			default:
				if err := l.clear(ctx, list.Path(), err); err != nil {
					return err
				}
				at = pointer{}
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
		there := at.number == crl.Number && !unread
		if at.number > crl.Number {
			return pki.Errorf(pki.Conflict, "the target %s has CRL number %d of %s, the store number %d: the store is older than what was published", l.name, at.number, list, crl.Number)
		}
		if created != crl.Number && (!there || again) {
			behind, err := l.create(ctx, list, crl)
			if err != nil {
				return err
			}
			if behind {
				l.forgetPointer(list)
				return nil
			}
			created = crl.Number
		}
		if there {
			l.setPointer(list, at)
			return nil
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
			return l.target.Remove(ctx, list.ObjectPath(at.before))
		}
		return nil
	}
	return pki.Errorf(pki.Unavailable, "the pointer of %s was moved by somebody else %d times", list, attempts)
}

// create writes the object of one CRL. What is there instead is removed, unless it is
// another CRL of the list that may have been the latest: behind is as read says.
func (l *lane) create(ctx context.Context, list revocation.List, crl *revocation.CRL) (behind bool, err error) {
	name := list.ObjectPath(crl.Number)
	err = l.target.Create(ctx, name, crl.DER, contentType)
	if pki.KindOf(err) != pki.Conflict {
		return false, err
	}
	if content, _, unread := l.target.Read(ctx, name, maxObject); unread == nil {
		parsed, wrong := l.source.Verify(ctx, list, content)
		switch kind := pki.KindOf(wrong); {
		case wrong == nil && parsed.Number >= crl.Number:
			return l.source.Recover(ctx, list, content)
		case wrong != nil && kind != pki.Malformed && kind != pki.BadProof:
			return false, wrong
		}
	}
	if err := l.clear(ctx, name, err); err != nil {
		return false, err
	}
	return false, l.target.Create(ctx, name, crl.DER, contentType)
}

// clear removes what stands in the place of an object.
func (l *lane) clear(ctx context.Context, name string, why error) error {
	l.log.WarnContext(ctx, "what is published is not what was written, or cannot be read; it is removed", "object", name, "error", why)
	err := l.target.Remove(ctx, name)
	if err != nil && pki.KindOf(why) == pki.Conflict { // it is this object, and not the target
		return pki.Because(pki.Conflict, err, "%s; it cannot be removed either", pki.DetailOf(why))
	}
	return err
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
		return pointer{}, false, l.clear(ctx, list.Path(), err)
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

// publishChain brings an issuer's certificates to the target.
func (l *lane) publishChain(ctx context.Context, issuer pki.IssuerID) error {
	chain, err := l.chains.Chain(ctx, issuer)
	if err != nil {
		return fmt.Errorf("chain of issuer %s: %w", issuer, err)
	}
	for _, form := range revocation.ChainForms() {
		contentType, body, err := revocation.EncodeChain(form, chain)
		if err != nil {
			return err
		}
		if err := l.put(ctx, revocation.ChainPath(issuer, form), body, contentType); err != nil {
			return err
		}
	}
	return nil
}

// put has an object be as given. What cannot be read, for what it is or though others can
// be, is removed first: there is no later one of these that it might be.
func (l *lane) put(ctx context.Context, name string, body []byte, contentType string) error {
	have, version, err := l.target.Read(ctx, name, maxObject)
	switch kind := pki.KindOf(err); {
	case err == nil && bytes.Equal(have, body):
		return nil
	case err == nil, kind == pki.NotFound:
	case ctx.Err() != nil:
		return err
	default:
		if err := l.clear(ctx, name, err); err != nil {
			return err
		}
		version = ""
	}
	_, err = l.target.Replace(ctx, name, version, body, contentType)
	return err
}
