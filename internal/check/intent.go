package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"iter"

	"github.com/pando-pki/pando/internal/pki"
)

// A place is a certificate's place in its intent.
type place struct {
	intent pki.IntentID
	place  int
	issuer uint32
	read   bool // hash is known
	hash   [32]byte
}

// intentSize is the room for an intent's id in a record; see pki.NewID.
const intentSize = 26

const placeSize = intentSize + 4 + 4 + 1 + 32

// encode returns the record, which sorts by intent and place.
func (p place) encode() []byte {
	b := make([]byte, intentSize, placeSize)
	copy(b, p.intent)
	b = binary.BigEndian.AppendUint32(b, uint32(p.place))
	b = binary.BigEndian.AppendUint32(b, p.issuer)
	if p.read {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, p.hash[:]...)
}

// decodePlace reads what encode wrote.
func decodePlace(b []byte) place {
	p := place{
		intent: pki.IntentID(bytes.TrimRight(b[:intentSize], "\x00")),
		place:  int(int32(binary.BigEndian.Uint32(b[intentSize:]))),
		issuer: binary.BigEndian.Uint32(b[intentSize+4:]),
		read:   b[intentSize+8] == 1,
	}
	copy(p.hash[:], b[intentSize+9:])
	return p
}

// checkIntents walks the intents and the certificates' places side by side, both
// in order of intent.
func (c *checker) checkIntents(ctx context.Context) error {
	next, stop := iter.Pull2(c.places.sorted())
	defer stop()
	w := &placeWalk{next: next}
	if err := w.advance(); err != nil {
		return err
	}
	var last pki.IntentID
	for {
		intents, err := c.store.ScanIntents(ctx, last, page)
		if err != nil {
			return fmt.Errorf("reading intents: %w", err)
		}
		if len(intents) == 0 {
			c.checkMissing()
			return c.checkUnintended(w, "")
		}
		for n := range intents {
			i := &intents[n]
			if err := c.checkUnintended(w, i.ID); err != nil {
				return err
			}
			if err := c.checkIntent(ctx, i, w); err != nil {
				return err
			}
			last = i.ID
		}
		c.tell("intents", c.report.Intents)
	}
}

// A placeWalk reads places in order; current is nil at the end.
type placeWalk struct {
	next    func() ([]byte, error, bool)
	current *place
}

// advance goes to the next place.
func (w *placeWalk) advance() error {
	record, err, ok := w.next()
	if err != nil {
		return err
	}
	w.current = nil
	if ok {
		p := decodePlace(record)
		w.current = &p
	}
	return nil
}

// checkUnintended reports the certificates of intents below the given one, which
// are not in the store; "" is above every intent.
func (c *checker) checkUnintended(w *placeWalk, below pki.IntentID) error {
	for w.current != nil && (below == "" || w.current.intent < below) {
		intent, n := w.current.intent, 0
		for w.current != nil && w.current.intent == intent {
			n++
			if err := w.advance(); err != nil {
				return err
			}
		}
		c.report.addf(Intended, "intent "+string(intent), "%d certificates say that they are of this intent, which is not in the store", n)
	}
	return nil
}

// checkIntent compares an intent with its certificates and voids, in order of
// place.
func (c *checker) checkIntent(ctx context.Context, i *IntentRecord, w *placeWalk) error {
	c.report.Intents++
	t := tally{count: i.Count, digest: sha256.New(), whole: true}
	voids := i.Voided
	for {
		isCertificate := w.current != nil && w.current.intent == i.ID
		switch {
		case isCertificate && (len(voids) == 0 || w.current.place <= voids[0].Place):
			t.certificates++
			if known := c.issuers[i.Issuer]; known == nil || known.number != w.current.issuer {
				t.strangers++
			}
			t.take(w.current)
			if err := w.advance(); err != nil {
				return err
			}
		case len(voids) > 0:
			if err := c.checkVoid(ctx, i, voids[0]); err != nil {
				return err
			}
			t.take(&place{place: voids[0].Place, read: true, hash: voids[0].TBSHash})
			voids = voids[1:]
		default:
			t.missing += t.count - t.next
			c.judge(i, &t)
			return nil
		}
	}
}

// A tally is what was found of an intent.
type tally struct {
	count        int // of its places
	next         int // the place that is expected
	certificates int
	strangers    int  // certificates of another issuer
	missing      int  // places without certificate or void
	misplaced    int  // taken twice, or not among its places
	whole        bool // every place that was taken has its hash
	digest       hash.Hash
}

// take counts the next certificate or void.
func (t *tally) take(p *place) {
	if p.place < t.next || p.place >= t.count {
		t.misplaced++
		return
	}
	t.missing += p.place - t.next
	t.next = p.place + 1
	t.whole = t.whole && p.read
	t.digest.Write(p.hash[:])
}

// judge reports what a tally shows. The digest is compared only where every place
// has its hash: otherwise what is wrong has been reported.
func (c *checker) judge(i *IntentRecord, t *tally) {
	subject := "intent " + string(i.ID)
	if i.State == IntentOpen {
		c.report.OpenIntents++
	}
	if c.issuers[i.Issuer] == nil {
		c.report.addf(Intended, subject, "its issuer is missing")
		return
	}
	if i.State != IntentClosed && t.certificates > 0 {
		c.report.addf(Intended, subject, "it is %s and has %d certificates", i.State, t.certificates)
		return
	}
	if i.State == IntentOpen {
		return
	}
	if t.strangers > 0 {
		c.report.addf(Intended, subject, "%d of its certificates are of another issuer", t.strangers)
	}
	if t.misplaced > 0 {
		c.report.addf(Intended, subject, "%d certificates or voids are at a place that is taken, or not among its %d", t.misplaced, i.Count)
	}
	if t.missing > 0 && c.unread.certificates > 0 {
		c.unread.missing += int64(t.missing)
	} else if t.missing > 0 {
		c.report.addf(IntentComplete, subject, "%d of its %d places have neither a certificate nor a void", t.missing, i.Count)
	}
	if t.whole && t.missing == 0 && t.misplaced == 0 && !bytes.Equal(t.digest.Sum(nil), i.Digest[:]) {
		c.report.addf(Intended, subject, "what was signed is not what was committed before: the digests differ")
	}
}

// checkVoid checks that a void item's serial is revoked, and notes its serial.
func (c *checker) checkVoid(ctx context.Context, i *IntentRecord, v VoidedItem) error {
	c.report.Voids++
	known := c.issuers[i.Issuer]
	if known == nil {
		return nil // judge reports it
	}
	status, err := c.store.Status(ctx, i.Issuer, v.Serial)
	if err != nil {
		return fmt.Errorf("reading the status of a void serial number: %w", err)
	}
	if status.Revocation == nil {
		c.report.addf(VoidRevoked, fmt.Sprintf("certificate %s/%s", i.Issuer, v.Serial), "it is void in intent %s and not revoked", i.ID)
	}
	return c.serials.add(serialUse{issuer: known.number, serial: v.Serial, by: usedByVoid}.encode())
}
