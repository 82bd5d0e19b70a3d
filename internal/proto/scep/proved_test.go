package scep

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// TestCRLProvesNobody: whoever asked for a CRL, with a certificate of their own making, is
// nobody who is heard after others at their address failed too often. Whoever enrolled is.
func TestCRLProvesNobody(t *testing.T) {
	f := newFake(t)
	now := time.Now()
	limits := limit.New(limit.Config{Failures: limit.Rate{PerSecond: 1, Burst: 3}, Now: func() time.Time { return now }})
	s := New(Config{RA: f, Authorities: f, Prover: f, Store: f, Certificates: f, CRLs: f, Now: time.Now, Log: slog.New(slog.DiscardHandler), Limits: limits})
	serial := pki.Serial{19: 77}
	f.crls = map[revocation.List][]byte{{Issuer: "1", Shard: serial.Shard(4)}: der.Append(nil, asn1.SEQUENCE, der.AppendInteger(nil, 7))}
	to := f.to[0].certificate
	ask := func(p party, r request) int {
		t.Helper()
		r.id, r.to = "1", to
		return call(s, http.MethodPost, operationURL, p.send(t, r)).Code
	}
	key := newRSA(t, "asker")
	asker := newParty(t, key, "asker")
	if code := ask(asker, request{kind: getCRL, content: named(parse(t, f.ca.certificate).RawSubject, serial)}); code != http.StatusOK {
		t.Fatalf("the CRL: %d", code)
	}
	for n := range 4 {
		ask(newParty(t, key, fmt.Sprint("garbage ", n)), request{kind: pkcsReq, content: []byte("garbage")})
	}
	m, err := readMessage(asker.send(t, request{kind: pkcsReq, id: "1", content: []byte("garbage"), to: to}))
	if err != nil {
		t.Fatal(err)
	}
	if err := limits.Try("192.0.2.1:1234", (&operation{message: m, server: s, label: label}).sender()); pki.KindOf(err) != pki.RateLimited {
		t.Errorf("whoever asked for a CRL is heard: %v", err)
	}
}
