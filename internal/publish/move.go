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
	// minRead is the least bound for what is read of certificates, in bytes.
	minRead = 64 << 10
	// attempts is how often an object is read and written anew when somebody else wrote
	// it meanwhile.
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
			case !again || left.number == 0 || left.number > crl.Number || ctx.Err() != nil: // it may be a later one
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
			behind, err := l.create(ctx, list, crl, again)
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
		if at.number == crl.Number { // it was written over by itself
			l.setPointer(list, pointer{crl.Number, at.before, version})
			return nil
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
func (l *lane) create(ctx context.Context, list revocation.List, crl *revocation.CRL, again bool) (behind bool, err error) {
	name := list.ObjectPath(crl.Number)
	err = l.target.Create(ctx, name, crl.DER, contentType)
	if pki.KindOf(err) != pki.Conflict {
		return false, err
	}
	content, _, unread := l.target.Read(ctx, name, maxObject)
	switch {
	case unread == nil:
		parsed, wrong := l.source.Verify(ctx, list, content)
		switch kind := pki.KindOf(wrong); {
		case wrong == nil && parsed.Number >= crl.Number:
			return l.source.Recover(ctx, list, content)
		case wrong != nil && kind != pki.Malformed && kind != pki.BadProof:
			return false, wrong
		}
	case pki.KindOf(unread) != pki.NotFound && !again && !atFault(unread):
		return false, unread
	}
	if err := l.clear(ctx, name, err); err != nil {
		return false, err
	}
	return false, l.target.Create(ctx, name, crl.DER, contentType)
}

// atFault reports whether it is an object that cannot be read, and not the target that does
// not answer. Whoever wants it published again has found that others can be read.
func atFault(err error) bool {
	kind := pki.KindOf(err)
	return kind == pki.Conflict || kind == pki.Malformed
}

// clear removes what stands in the place of an object.
func (l *lane) clear(ctx context.Context, name string, why error) error {
	err := l.target.Remove(ctx, name)
	if err == nil {
		l.log.WarnContext(ctx, "what was published is not what was written, or could not be read; it was removed", "object", name, "error", why)
	}
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
func (l *lane) publishChain(ctx context.Context, issuer pki.IssuerID, again bool) error {
	chain, err := l.chains.Chain(ctx, issuer)
	if err != nil {
		return fmt.Errorf("chain of issuer %s: %w", issuer, err)
	}
	for _, form := range revocation.ChainForms() {
		contentType, body, err := revocation.EncodeChain(form, chain)
		if err != nil {
			return err
		}
		if err := l.put(ctx, revocation.ChainPath(issuer, form), body, contentType, again); err != nil {
			return err
		}
	}
	return nil
}

// put has an object be as given. What cannot be read is removed first, where that is the
// object's fault: there is no later one of these that it might be.
func (l *lane) put(ctx context.Context, name string, body []byte, contentType string, again bool) error {
	for range attempts {
		have, version, err := l.target.Read(ctx, name, max(2*int64(len(body)), minRead))
		switch {
		case err == nil && bytes.Equal(have, body):
			return nil
		case err == nil, pki.KindOf(err) == pki.NotFound:
		case ctx.Err() != nil, !again && !atFault(err):
			return err
		default:
			if err := l.clear(ctx, name, err); err != nil {
				return err
			}
			version = ""
		}
		_, err = l.target.Replace(ctx, name, version, body, contentType)
		if pki.KindOf(err) != pki.Conflict { // which it is also when an answer was lost
			return err
		}
	}
	return pki.Errorf(pki.Unavailable, "%s was written by somebody else %d times", name, attempts)
}
