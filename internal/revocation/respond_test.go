package revocation_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
	"github.com/pando-pki/pando/internal/signer"
)

var _ revocation.Signer = (*signer.Signer)(nil)

// ask sends a request for one serial and reads the answer with x/crypto/ocsp,
// which checks the responder's certificate and the signature.
func ask(t *testing.T, v *revocationtest.VA, hash crypto.Hash, serial pki.Serial) *ocsp.Response {
	t.Helper()
	return read(t, v, respond(t, v, revocationtest.Request(t, v.CA.Certificate, hash, serial)), serial)
}

func respond(t *testing.T, v *revocationtest.VA, request []byte) *revocation.Response {
	t.Helper()
	got, err := v.Respond(t.Context(), v.CA.Issuer.ID, request)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func read(t *testing.T, v *revocationtest.VA, r *revocation.Response, serial pki.Serial) *ocsp.Response {
	t.Helper()
	parsed, err := ocsp.ParseResponseForCert(r.DER, revocationtest.Certificate(serial), v.CA.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func revoke(t *testing.T, v *revocationtest.VA, serial pki.Serial, reason pki.Reason) {
	t.Helper()
	g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	if _, err := v.Revoke(t.Context(), g, v.CA.Issuer.ID, serial, reason); err != nil {
		t.Fatal(err)
	}
}

func TestRespond(t *testing.T) {
	v := revocationtest.New(t, 1)
	good, revoked := v.Issue(), v.Issue()
	never := pki.NewSerial(pki.SerialShort, v.Clock.Now())
	revoke(t, v, revoked, pki.KeyCompromise)
	now := v.Clock.Now()
	tests := []struct {
		name   string
		serial pki.Serial
		want   int
	}{
		{"good", good, ocsp.Good},
		{"revoked", revoked, ocsp.Revoked},
		{"never issued", never, ocsp.Unknown},
	}
	for _, tt := range tests {
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			t.Run(tt.name+" by "+hash.String(), func(t *testing.T) {
				got := ask(t, v, hash, tt.serial)
				if got.Status != tt.want {
					t.Errorf("status %d, want %d", got.Status, tt.want)
				}
				if tt.want == ocsp.Revoked && (got.RevocationReason != ocsp.KeyCompromise || !got.RevokedAt.Equal(now)) {
					t.Errorf("revoked for %d at %s, want keyCompromise at %s", got.RevocationReason, got.RevokedAt, now)
				}
				times := []time.Time{got.ThisUpdate, got.ProducedAt, got.NextUpdate}
				want := []time.Time{now.Add(-revocation.Backdate), now, now.Add(revocation.DefaultOCSPLife)}
				if diff := cmp.Diff(want, times); diff != "" {
					t.Errorf("thisUpdate, producedAt, nextUpdate (-want +got):\n%s", diff)
				}
				if len(got.ResponderKeyHash) != 20 || got.Certificate == nil {
					t.Errorf("responder by key hash %x, certificate %v", got.ResponderKeyHash, got.Certificate != nil)
				}
			})
		}
	}
}

func TestRespondSeveral(t *testing.T) {
	v := revocationtest.New(t, 1)
	good, revoked := v.Issue(), v.Issue()
	never := pki.NewSerial(pki.SerialShort, v.Clock.Now())
	revoke(t, v, revoked, pki.Superseded)
	got := respond(t, v, revocationtest.RequestWith(v.CA.Certificate, nil, good, revoked, never))
	for serial, want := range map[pki.Serial]int{good: ocsp.Good, revoked: ocsp.Revoked, never: ocsp.Unknown} {
		if status := read(t, v, got, serial).Status; status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	if got.Cacheable {
		t.Error("an answer with an unknown serial is cacheable")
	}
	if got = respond(t, v, revocationtest.RequestWith(v.CA.Certificate, nil, good, revoked)); !got.Cacheable {
		t.Error("an answer about known serials is not cacheable")
	}
}

func TestNonceIsEchoedAndNotKept(t *testing.T) {
	v := revocationtest.New(t, 1)
	serial := v.Issue()
	for _, nonce := range [][]byte{bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)} {
		got := respond(t, v, revocationtest.RequestWith(v.CA.Certificate, nonce, serial))
		read(t, v, got, serial)
		if got.Cacheable || !bytes.Contains(got.DER, nonce) {
			t.Errorf("cacheable %t, nonce echoed %t", got.Cacheable, bytes.Contains(got.DER, nonce))
		}
	}
	if n := v.Signer.Count(signer.OCSP); n != 2 {
		t.Errorf("%d signatures, want 2", n)
	}
}

func TestRespondRefuses(t *testing.T) {
	v, other := revocationtest.New(t, 1), revocationtest.New(t, 1)
	serial := v.Issue()
	ours := revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, serial)
	theirs := revocationtest.Request(t, other.CA.Certificate, crypto.SHA256, serial)
	root := revocationtest.Request(t, v.Root.Certificate, crypto.SHA256, serial)
	tests := []struct {
		name    string
		issuer  pki.IssuerID
		request []byte
		want    pki.Kind
	}{
		{"garbage", v.CA.Issuer.ID, []byte("GET / HTTP/1.1"), pki.Malformed},
		{"nothing", v.CA.Issuer.ID, nil, pki.Malformed},
		{"trailing byte", v.CA.Issuer.ID, append(bytes.Clone(ours), 0), pki.Malformed},
		{"no such issuer", "nobody", ours, pki.Forbidden},
		{"another issuer's CertID", v.CA.Issuer.ID, theirs, pki.Forbidden},
		{"offline issuer", v.Root.Issuer.ID, root, pki.Forbidden},
		{"33 CertIDs", v.CA.Issuer.ID, revocationtest.RequestWith(v.CA.Certificate, nil, make([]pki.Serial, 33)...), pki.Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := v.Respond(t.Context(), tt.issuer, tt.request)
			if got != nil || err == nil || pki.KindOf(err) != tt.want {
				t.Errorf("got %v, %v; want %s", got, err, tt.want)
			}
		})
	}
	if n := v.Signer.Count(signer.OCSP); n != 0 {
		t.Errorf("%d refusals were signed", n)
	}
}

func TestRespondFaults(t *testing.T) {
	v := revocationtest.New(t, 1)
	request := revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, v.Issue())
	check := func(name string, want pki.Kind) {
		t.Helper()
		if got, err := v.Respond(t.Context(), v.CA.Issuer.ID, request); err == nil || pki.KindOf(err) != want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, want)
		}
	}
	v.Responders.Fail(errors.New("no RA"))
	check("no responder", pki.Unavailable)
	v.Responders.Fail(nil)
	v.Clock.Advance(time.Minute)
	v.Signer.Fail(errors.New("no key"))
	check("no signature", pki.Internal)
	v.Signer.Fail(nil)
	v.Store.Fail(errors.New("no database"))
	check("no store", pki.Internal)
	v.Store.Fail(pki.Errorf(pki.Unavailable, "the store is busy"))
	check("busy store", pki.Unavailable)
	v.Store.Fail(nil)
	respond(t, v, request)
}

func TestAnswersAreKept(t *testing.T) {
	v := revocationtest.New(t, 1)
	serial := v.Issue()
	request := revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, serial)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { respond(t, v, request) })
	}
	wg.Wait()
	if n := v.Signer.Count(signer.OCSP); n != 1 {
		t.Fatalf("50 requests at once took %d signatures, want 1", n)
	}

	looks := v.Store.Looks()
	respond(t, v, request)
	if n := v.Store.Looks(); n != looks {
		t.Errorf("a fresh answer took %d looks into the store", n-looks)
	}

	first := v.Clock.Now()
	v.Clock.Advance(time.Hour - time.Second)
	if got := respond(t, v, request); !got.Renew.Equal(first.Add(time.Hour)) {
		t.Errorf("an answer of %s is renewed at %s, not after an hour", first, got.Renew)
	}
	if n := v.Signer.Count(signer.OCSP); n != 1 {
		t.Errorf("%d signatures in the first hour, want 1", n)
	}
	v.Clock.Advance(time.Second)
	if got := ask(t, v, crypto.SHA1, serial); !got.ProducedAt.Equal(v.Clock.Now()) {
		t.Errorf("after an hour an answer of %s was given", got.ProducedAt)
	}
}

// TestNoncesShareALook: of a certificate that many ask for with nonces the store is
// asked once a second, and at once after a revocation.
func TestNoncesShareALook(t *testing.T) {
	v := revocationtest.New(t, 1)
	serial := v.Issue()
	ask := func(nonce byte) int {
		request := revocationtest.RequestWith(v.CA.Certificate, bytes.Repeat([]byte{nonce}, 32), serial)
		return read(t, v, respond(t, v, request), serial).Status
	}
	ask(0)
	ask(0) // a look at the responder is in the second one
	looks := func(want int, status int) {
		t.Helper()
		before := v.Store.Looks()
		for n := range byte(10) {
			if got := ask(n); got != status {
				t.Fatalf("status %d, want %d", got, status)
			}
		}
		if got := v.Store.Looks() - before; got != want {
			t.Errorf("%d looks for ten answers, want %d", got, want)
		}
	}
	looks(0, ocsp.Good)
	v.Clock.Advance(time.Second)
	looks(2, ocsp.Good) // at the certificate and the responder's
	revoke(t, v, serial, pki.KeyCompromise)
	looks(2, ocsp.Revoked)
	v.RevokeElsewhere(t, v.Issue(), pki.Superseded)
	other := serial
	serial = v.Issue()
	looks(1, ocsp.Good)
	v.RevokeElsewhere(t, serial, pki.KeyCompromise)
	looks(0, ocsp.Good)
	v.Clock.Advance(time.Second)
	looks(2, ocsp.Revoked)
	serial = other
	looks(1, ocsp.Revoked)
}

func TestUnknownIsNotKept(t *testing.T) {
	v := revocationtest.New(t, 1)
	serial := pki.NewSerial(pki.SerialShort, v.Clock.Now())
	if got := ask(t, v, crypto.SHA1, serial); got.Status != ocsp.Unknown {
		t.Fatalf("status %d", got.Status)
	}
	v.Store.AddCertificate(v.CA.Issuer, serial, v.Clock.Now().AddDate(1, 0, 0))
	if got := ask(t, v, crypto.SHA1, serial); got.Status != ocsp.Good {
		t.Errorf("status %d after issuance", got.Status)
	}
}

// A revocation by this process shows at the next request; one by another, which
// only the store knows of, within two seconds.
func TestRevocationShows(t *testing.T) {
	v := revocationtest.New(t, 1)
	here, elsewhere := v.Issue(), v.Issue()
	ask(t, v, crypto.SHA1, here)
	ask(t, v, crypto.SHA256, here)
	ask(t, v, crypto.SHA1, elsewhere)

	revoke(t, v, here, pki.KeyCompromise)
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		if got := ask(t, v, hash, here); got.Status != ocsp.Revoked {
			t.Errorf("by %s: status %d right after the revocation", hash, got.Status)
		}
	}

	ask(t, v, crypto.SHA1, elsewhere)
	v.RevokeElsewhere(t, elsewhere, pki.Unspecified)
	v.Clock.Advance(2 * time.Second)
	if got := ask(t, v, crypto.SHA1, elsewhere); got.Status != ocsp.Revoked {
		t.Errorf("status %d two seconds after a revocation elsewhere", got.Status)
	}
}

// Revocations race with requests: an answer that was asked for after Revoke
// returned is never "good".
func TestRevocationRace(t *testing.T) {
	v := revocationtest.New(t, 1)
	for range 50 {
		serial := v.Issue()
		request := revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, serial)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { respond(t, v, request) })
		}
		revoke(t, v, serial, pki.Unspecified)
		if got := ask(t, v, crypto.SHA1, serial); got.Status != ocsp.Revoked {
			t.Fatalf("status %d after the revocation", got.Status)
		}
		wg.Wait()
		if got := ask(t, v, crypto.SHA1, serial); got.Status != ocsp.Revoked {
			t.Fatalf("status %d was kept over the revocation", got.Status)
		}
	}
}

func TestResponderRotates(t *testing.T) {
	const life = revocationtest.ResponderLife
	v := revocationtest.New(t, 1)
	serial := v.Issue()
	first := ask(t, v, crypto.SHA1, serial).ResponderKeyHash

	v.Clock.Advance(life * 4 / 10)
	if got := ask(t, v, crypto.SHA1, serial); !bytes.Equal(got.ResponderKeyHash, first) || v.Responders.Calls() != 1 {
		t.Errorf("asked %d times for a responder early in its life", v.Responders.Calls())
	}

	v.Responders.Fail(errors.New("no RA"))
	v.Clock.Advance(life * 2 / 10) // more than half is over, and there is no new one
	if got := ask(t, v, crypto.SHA1, serial); !bytes.Equal(got.ResponderKeyHash, first) {
		t.Error("the old responder does not serve on")
	}
	alarms := func(when string, want ...alarm.Severity) {
		t.Helper()
		var got []alarm.Severity
		for _, a := range v.Alarms.Of(revocationtest.Tenant) {
			if got = append(got, a.Severity); a.Name != "ocsp.responder" {
				t.Errorf("%s: alarm %+v", when, a)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: alarms %v; want %v", when, got, want)
		}
	}
	alarms("with time left")
	for _, severity := range []alarm.Severity{alarm.Warning, alarm.Critical} {
		v.Clock.Advance(life / 6) // to 23/30, to 28/30
		ask(t, v, crypto.SHA1, serial)
		alarms("late", severity)
	}
	v.Responders.Fail(nil)
	v.Clock.Advance(revocation.DefaultOCSPLife)
	if got := ask(t, v, crypto.SHA1, serial); bytes.Equal(got.ResponderKeyHash, first) {
		t.Error("the new responder is not used")
	}
	alarms("renewed")

	v.Responders.Fail(errors.New("no RA"))
	v.Clock.Advance(life - time.Hour)
	got := ask(t, v, crypto.SHA1, serial)
	if !got.NextUpdate.Equal(got.Certificate.NotAfter) {
		t.Errorf("nextUpdate %s is not cut at the end of the responder's certificate, %s", got.NextUpdate, got.Certificate.NotAfter)
	}
	v.Clock.Advance(2 * time.Hour)
	_, err := v.Respond(t.Context(), v.CA.Issuer.ID, revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, serial))
	if pki.KindOf(err) != pki.Unavailable {
		t.Errorf("%v without a valid responder, want unavailable", err)
	}
	alarms("over", alarm.Critical)
}

// TestResponderRevoked: a responder that is revoked answers no more, by this process
// at once and where another revoked it a second later, and what it signed is not
// given on.
func TestResponderRevoked(t *testing.T) {
	v := revocationtest.New(t, 1)
	g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	serial := v.Issue()
	for name, revokeIt := range map[string]func(pki.Serial){
		"here": func(s pki.Serial) {
			if _, err := v.Revoke(t.Context(), g, v.CA.Issuer.ID, s, pki.KeyCompromise); err != nil {
				t.Fatal(err)
			}
		},
		"elsewhere": func(s pki.Serial) {
			v.RevokeElsewhere(t, s, pki.KeyCompromise)
			v.Clock.Advance(time.Second)
		},
	} {
		first := ask(t, v, crypto.SHA1, serial)
		its, err := pki.SerialFromBytes(first.Certificate.SerialNumber.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		v.Store.AddCertificate(v.CA.Issuer, its, first.Certificate.NotAfter)
		revokeIt(its)
		v.Responders.Fail(errors.New("no RA"))
		if _, err := v.Respond(t.Context(), v.CA.Issuer.ID, revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, serial)); pki.KindOf(err) != pki.Unavailable {
			t.Errorf("%s: %v while there is no other responder", name, err)
		}
		v.Responders.Fail(nil)
		v.Responders.Forget()
		v.Clock.Advance(10 * time.Second)
		if got := ask(t, v, crypto.SHA1, serial); bytes.Equal(got.ResponderKeyHash, first.ResponderKeyHash) {
			t.Errorf("%s: the revoked responder still answers", name)
		}
	}
}

// TestFirstResponder: who asks while an issuer's first responder is made, in another second
// than the one in which it begins, has an answer of it, from after it began.
func TestFirstResponder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := revocationtest.New(t, 1)
		made := make(chan struct{})
		v.Responders.Change = func(c *x509.Certificate) {
			<-made
			c.NotBefore = v.Clock.Now().Truncate(time.Second)
		}
		v.Clock.Advance(900 * time.Millisecond)
		serial := v.Issue()
		var asking sync.WaitGroup
		for _, nonce := range [][]byte{nil, {1, 2, 3, 4}, {5, 6, 7, 8}} {
			asking.Go(func() {
				got, err := v.Respond(t.Context(), v.CA.Issuer.ID, revocationtest.RequestWith(v.CA.Certificate, nonce, serial))
				if err != nil {
					t.Error(err)
					return
				}
				if answer := read(t, v, got, serial); answer.ProducedAt.Before(answer.Certificate.NotBefore) {
					t.Errorf("an answer of %s by a responder from %s", answer.ProducedAt, answer.Certificate.NotBefore)
				}
			})
			synctest.Wait()
		}
		v.Clock.Advance(200 * time.Millisecond)
		close(made)
		asking.Wait()
		if got := v.Responders.Calls(); got != 1 {
			t.Errorf("asked %d times for a responder", got)
		}
	})
}

// TestRunResponders: responders are made and rotated though nobody asks.
func TestRunResponders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := revocationtest.New(t, 1)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- v.RunResponders(ctx) }()
		synctest.Wait()
		first := ask(t, v, crypto.SHA1, v.Issue())
		if v.Responders.Calls() != 1 {
			t.Errorf("asked %d times", v.Responders.Calls())
		}
		v.Clock.Advance(revocationtest.ResponderLife * 6 / 10)
		time.Sleep(time.Minute + time.Second)
		if v.Responders.Calls() != 2 {
			t.Errorf("asked %d times once more than half of its life is over", v.Responders.Calls())
		}
		if got := ask(t, v, crypto.SHA1, v.Issue()); bytes.Equal(got.ResponderKeyHash, first.ResponderKeyHash) {
			t.Error("the key is still the old one")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A responder whose answers relying parties would refuse is not used, and the error
// that is logged says what its profile lacks.
func TestResponderNeedsDelegation(t *testing.T) {
	for want, change := range map[string]func(*x509.Certificate){
		"":                                   nil,
		"lacks extendedKeyUsage OCSPSigning": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} },
		"lacks keyUsage digitalSignature":    func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement },
		"lacks ocspNoCheck":                  func(c *x509.Certificate) { c.ExtraExtensions = nil },
		"valid from":                         func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(time.Hour) },
	} {
		v := revocationtest.New(t, 1)
		v.Responders.Change = change
		_, err := v.Respond(t.Context(), v.CA.Issuer.ID, revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, v.Issue()))
		switch {
		case want == "" && err != nil:
			t.Error(err)
		case want != "" && (pki.KindOf(err) != pki.Unavailable || !strings.Contains(err.Error(), want)):
			t.Errorf("%v; want unavailable, since it %s", err, want)
		}
	}
}

// Answers and responders from the time when the clock was ahead are not used when it
// is right again.
func TestRespondAfterClockWasAhead(t *testing.T) {
	const ahead = 5 * 365 * 24 * time.Hour
	v := revocationtest.New(t, 1)
	serial := v.Issue()
	check := func(when string) {
		t.Helper()
		now := v.Clock.Now()
		got := ask(t, v, crypto.SHA1, serial)
		if !got.ProducedAt.Equal(now) || now.Before(got.Certificate.NotBefore) {
			t.Errorf("%s, at %s: an answer of %s by a responder of %s", when, now, got.ProducedAt, got.Certificate.NotBefore)
		}
	}
	fails := func(when string) {
		t.Helper()
		v.Responders.Fail(errors.New("no RA"))
		_, err := v.Respond(t.Context(), v.CA.Issuer.ID, revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, serial))
		if pki.KindOf(err) != pki.Unavailable {
			t.Errorf("%s: %v without a responder in force", when, err)
		}
		v.Responders.Fail(nil)
	}
	v.Clock.Advance(ahead)
	check("ahead")
	v.Clock.Advance(-ahead)
	fails("right again")
	v.Clock.Advance(time.Minute)
	check("right again")

	v.Clock.Advance(ahead)
	fails("ahead again")
	v.Clock.Advance(-ahead)
	check("after a fault while it was ahead")
}
