package revocation_test

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
	"github.com/pando-pki/pando/internal/signer"
)

func publish(t *testing.T, v *revocationtest.VA, want int) {
	t.Helper()
	if n, err := v.PublishDue(t.Context()); err != nil || n != want {
		t.Fatalf("%d CRLs, %v; want %d", n, err, want)
	}
}

// fetch returns a shard's CRL as crypto/x509 reads it, with its signature checked.
func fetch(t *testing.T, v *revocationtest.VA, shard int) *x509.RevocationList {
	t.Helper()
	got, err := v.CRL(t.Context(), revocation.List{Issuer: v.CA.Issuer.ID, Shard: shard})
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(got.DER)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(v.CA.Certificate); err != nil {
		t.Fatal(err)
	}
	if got.Number != list.Number.Int64() || got.Entries != int64(len(list.RevokedCertificateEntries)) ||
		!got.ThisUpdate.Equal(list.ThisUpdate) || !got.NextUpdate.Equal(list.NextUpdate) {
		t.Errorf("the store's number %d, entries %d, times %s and %s are not the CRL's", got.Number, got.Entries, got.ThisUpdate, got.NextUpdate)
	}
	return list
}

func TestPublishDue(t *testing.T) {
	v := revocationtest.New(t, 1)
	serial := v.Issue()
	publish(t, v, 1)
	publish(t, v, 0)

	first := fetch(t, v, 0)
	now := v.Clock.Now()
	times := []time.Time{first.ThisUpdate, first.NextUpdate}
	if diff := cmp.Diff([]time.Time{now.Add(-revocation.Backdate), now.Add(revocation.DefaultCRLLife)}, times); diff != "" {
		t.Errorf("thisUpdate, nextUpdate (-want +got):\n%s", diff)
	}
	if first.Number.Int64() != 1 || len(first.RevokedCertificateEntries) != 0 {
		t.Errorf("number %d with %d entries", first.Number, len(first.RevokedCertificateEntries))
	}
	if string(first.AuthorityKeyId) != string(v.CA.Certificate.SubjectKeyId) {
		t.Errorf("authority key identifier %x", first.AuthorityKeyId)
	}
	const url = "http://status.example/crl/issuer/0.crl"
	if got := distributionPointURL(t, first); got != url {
		t.Errorf("issuing distribution point %q, want %q", got, url)
	}

	revoke(t, v, serial, pki.KeyCompromise)
	publish(t, v, 1)
	second := fetch(t, v, 0)
	want := []x509.RevocationListEntry{{
		SerialNumber: new(big.Int).SetBytes(serial.Bytes()), RevocationTime: now, ReasonCode: 1,
	}}
	for i := range second.RevokedCertificateEntries {
		second.RevokedCertificateEntries[i].Raw, second.RevokedCertificateEntries[i].Extensions = nil, nil
	}
	if diff := cmp.Diff(want, second.RevokedCertificateEntries, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if second.Number.Int64() != 2 {
		t.Errorf("number %d, want 2", second.Number)
	}

	v.Clock.Advance((revocation.DefaultCRLLife+revocation.Backdate)*2/5 - revocation.Backdate - time.Second)
	publish(t, v, 0)
	v.Clock.Advance(time.Second)
	publish(t, v, 1)
}

// An expired certificate's entry is in one CRL from after the expiry, and leaves.
func TestExpiredEntriesLeave(t *testing.T) {
	v := revocationtest.New(t, 1)
	serial := pki.NewSerial(pki.SerialShort, v.Clock.Now())
	v.Store.AddCertificate(v.CA.Issuer, serial, v.Clock.Now().Add(time.Hour))
	revoke(t, v, serial, pki.Superseded)
	publish(t, v, 1)
	for _, want := range []int{1, 0} {
		v.Clock.Advance(revocation.DefaultCRLLife * 6 / 10)
		publish(t, v, 1)
		if got := len(fetch(t, v, 0).RevokedCertificateEntries); got != want {
			t.Errorf("%d entries %s after issuance, want %d", got, revocation.DefaultCRLLife*6/10, want)
		}
	}
}

func TestShards(t *testing.T) {
	const shards = 4
	v := revocationtest.New(t, shards)
	publish(t, v, shards)
	want := make(map[string]int)
	for range 40 {
		serial := v.Issue()
		want[new(big.Int).SetBytes(serial.Bytes()).String()] = serial.Shard(shards)
		revoke(t, v, serial, pki.Unspecified)
	}
	publish(t, v, shards)
	got := make(map[string]int)
	for shard := range shards {
		for _, e := range fetch(t, v, shard).RevokedCertificateEntries {
			got[e.SerialNumber.String()] = shard
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shards of serials (-want +got):\n%s", diff)
	}
	if _, err := v.CRL(t.Context(), revocation.List{Issuer: v.CA.Issuer.ID, Shard: shards}); pki.KindOf(err) != pki.NotFound {
		t.Errorf("a shard beyond the last: %v", err)
	}
}

func TestShardsNeedStatusURL(t *testing.T) {
	v := revocationtest.New(t, 2)
	v.CA.Issuer.StatusURL = ""
	if n, err := v.PublishDue(t.Context()); n != 0 || err == nil {
		t.Errorf("%d CRLs, %v; a shard's CRL without its scope would claim to be complete", n, err)
	}
}

// More entries than one page of the store holds, with and without reasons.
func TestManyEntries(t *testing.T) {
	v := revocationtest.New(t, 1)
	const n = 12_345
	addRevoked(t, v, n)
	publish(t, v, 1)
	list := fetch(t, v, 0)
	if len(list.RevokedCertificateEntries) != n {
		t.Fatalf("%d entries, want %d", len(list.RevokedCertificateEntries), n)
	}
	for i := 1; i < n; i++ {
		if list.RevokedCertificateEntries[i-1].SerialNumber.Cmp(list.RevokedCertificateEntries[i].SerialNumber) >= 0 {
			t.Fatalf("entry %d is not in order", i)
		}
	}
}

func addRevoked(t testing.TB, v *revocationtest.VA, n int) {
	t.Helper()
	for i := range n {
		v.RevokeElsewhere(t, v.Issue(), pki.Reason(i%2))
	}
}

// One issuer's fault, and another process that was faster, keep nobody else.
func TestPublishFaults(t *testing.T) {
	v := revocationtest.New(t, 2)
	v.Signer.Fail(errors.New("no key"))
	if n, err := v.PublishDue(t.Context()); n != 0 || err == nil {
		t.Errorf("%d CRLs, %v without a key", n, err)
	}
	v.Signer.Fail(nil)
	v.Store.PutCRL(t.Context(), &revocation.CRL{List: revocation.List{Issuer: v.CA.Issuer.ID, Shard: 1}, Number: 99}, nil) // by another process, long out of date
	publish(t, v, 1)
	if got := fetch(t, v, 0).Number.Int64(); got != 2 {
		t.Errorf("number %d after a failed signature, want 2: a number is never used twice", got)
	}
	if got, err := v.Store.CRL(t.Context(), revocation.List{Issuer: v.CA.Issuer.ID, Shard: 1}); err != nil || got.Number != 99 {
		t.Errorf("a lower number replaced number 99: %v, %v", got, err)
	}
}

func TestRunCRL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := revocationtest.New(t, 1)
		done := make(chan error)
		go func() { done <- v.RunCRL(t.Context()) }()
		t.Cleanup(func() {
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		entries := func() int { return len(fetch(t, v, 0).RevokedCertificateEntries) }

		synctest.Wait()
		if got := entries(); got != 0 {
			t.Fatalf("%d entries at first", got)
		}
		time.Sleep(10 * time.Second)
		revoke(t, v, v.Issue(), pki.KeyCompromise)
		time.Sleep(150 * time.Millisecond)
		if got := entries(); got != 1 {
			t.Errorf("a revocation after a calm is not in the CRL after 150 ms")
		}

		before := v.Signer.Count(signer.CRL)
		for range 100 {
			revoke(t, v, v.Issue(), pki.KeyCompromise)
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if got := entries(); got != 101 {
			t.Errorf("%d entries after the storm, want 101", got)
		}
		if n := v.Signer.Count(signer.CRL) - before; n > 7 {
			t.Errorf("%d CRLs in seven seconds of a storm", n)
		}

		v.Signer.Fail(errors.New("no key"))
		before = v.Signer.Count(signer.CRL)
		revoke(t, v, v.Issue(), pki.KeyCompromise)
		time.Sleep(10 * time.Minute)
		if n := v.Signer.Count(signer.CRL) - before; n < 10 || n > 20 {
			t.Errorf("%d attempts in ten minutes of a fault", n)
		}
		v.Signer.Fail(nil)
		v.Store.Fail(errors.New("no database"))
		time.Sleep(time.Minute)
		v.Store.Fail(nil)
		time.Sleep(time.Minute + time.Second)
		if got := entries(); got != 102 {
			t.Errorf("%d entries after the faults, want 102", got)
		}
	})
}

func distributionPointURL(t *testing.T, list *x509.RevocationList) string {
	t.Helper()
	for _, e := range list.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}) {
			var idp struct {
				Point struct {
					FullName []asn1.RawValue `asn1:"tag:0"`
				} `asn1:"tag:0"`
			}
			if rest, err := asn1.Unmarshal(e.Value, &idp); err != nil || len(rest) > 0 || !e.Critical || len(idp.Point.FullName) != 1 {
				t.Fatalf("issuing distribution point %x: %v", e.Value, err)
			}
			return string(idp.Point.FullName[0].Bytes)
		}
	}
	return ""
}

// A CRL that relying parties would refuse is not made: the key verifies its own
// signature, whatever the issuer's certificate says.
func TestSwappedKey(t *testing.T) {
	v := revocationtest.New(t, 1)
	v.Signer.SetKey(v.CA.Issuer.Key, v.Root.Key)
	if n, err := v.PublishDue(t.Context()); n != 0 || err == nil || !strings.Contains(err.Error(), "is not that of the issuer's certificate") {
		t.Errorf("%d CRLs, %v, under another issuer's key", n, err)
	}
	if n := v.Signer.Count(signer.CRL); n != 0 {
		t.Errorf("%d CRLs were signed by it", n)
	}
	v.Signer.SetKey(v.CA.Issuer.Key, v.CA.Key)
	publish(t, v, 1)
	if got := fetch(t, v, 0).Number.Int64(); got != 1 {
		t.Errorf("number %d: the refusal took one", got)
	}
}

// A CRL that was made while the clock was ahead is replaced when it is right again.
func TestClockWasAhead(t *testing.T) {
	v := revocationtest.New(t, 1)
	v.Clock.Advance(5 * 365 * 24 * time.Hour)
	publish(t, v, 1)
	v.Clock.Advance(-5 * 365 * 24 * time.Hour)
	publish(t, v, 1)
	if got := fetch(t, v, 0); got.ThisUpdate.After(v.Clock.Now()) || got.Number.Int64() != 2 {
		t.Errorf("at %s number %d, from %s, is served", v.Clock.Now(), got.Number, got.ThisUpdate)
	}
	publish(t, v, 0)
}

// published returns how many of an issuer's shards have a CRL.
func published(t *testing.T, v *revocationtest.VA, issuer *pki.Issuer) (n int) {
	t.Helper()
	states, err := v.Store.Shards(t.Context(), issuer.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.Number > 0 {
			n++
		}
	}
	return n
}

// One issuer's many shards do not keep the next issuer from its CRL, and in a storm
// of revocations no shard of its own is left behind.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const shards, turn = 400, 16
		v := revocationtest.New(t, shards)
		small := v.AddCA(t, "small", 1)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { v.RunCRL(ctx) })
		defer running.Wait()
		defer stop()

		synctest.Wait() // for the first pass
		if many, few := published(t, v, v.CA.Issuer), published(t, v, small.Issuer); many != turn || few != 1 {
			t.Fatalf("after one pass %d of %d shards of the first issuer have a CRL, and %d of the second's 1", many, shards, few)
		}

		storm := time.NewTicker(50 * time.Millisecond)
		defer storm.Stop()
		for range 100 { // five seconds, in which the first half is due again and again
			for shard := range shards / 2 {
				serial := pki.NewSerial(pki.SerialShort, time.Now())
				binary.BigEndian.PutUint32(serial[16:], uint32(shard)) // see pki.Serial.Shard
				v.Store.AddCertificate(v.CA.Issuer, serial, time.Now().AddDate(1, 0, 0))
				v.RevokeElsewhere(t, serial, pki.Superseded)
			}
			<-storm.C
		}
		if got := published(t, v, v.CA.Issuer); got != shards {
			t.Errorf("after five seconds of a storm %d of %d shards have a CRL", got, shards)
		}
	})
}
