package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// issue has the server's issuance work until the test ends, and the log, without which
// nothing is issued for long; nothing else runs.
func issue(t *testing.T, s *Server) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return s.issuance.Run(ctx) })
	running.Go(func() error { return s.audit.Run(ctx) })
	t.Cleanup(func() {
		stop()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestKeptCredential: what makes a listener's certificate be made anew, and which
// of them serve on where that cannot be done.
func TestKeptCredential(t *testing.T) {
	const (
		day   = 24 * time.Hour
		ahead = 30 * day // of the authority's beginning
	)
	var s *Server
	var clock *pandotest.Clock
	row := func(t *testing.T, change func(*keystore.Credential)) {
		t.Helper()
		have, err := s.store.Credential(t.Context(), "acme", "listener:"+s.cfg.Node)
		if err != nil {
			t.Fatal(err)
		}
		change(have)
		if err := s.store.PutCredential(t.Context(), have); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name         string
		change       func(t *testing.T)
		kept, usable bool
	}{
		{"nothing", func(*testing.T) {}, true, true},
		{"names in another order, one twice", func(*testing.T) { s.cfg.TLS.Names = []string{"127.0.0.1", "localhost", "127.0.0.1"} }, true, true},
		{"a name fewer", func(*testing.T) { s.cfg.TLS.Names = []string{"localhost"} }, false, true},
		{"a name more", func(*testing.T) { s.cfg.TLS.Names = append(s.cfg.TLS.Names, "127.0.0.2") }, false, true},
		{"another endpoint", func(*testing.T) { s.cfg.TLS.Endpoint = "acme.other" }, false, true},
		{"half of its life", func(t *testing.T) { later(t, s, clock, 46*day) }, false, true},
		{"its end", func(t *testing.T) { later(t, s, clock, 91*day) }, false, false},
		{"the clock was ahead", func(t *testing.T) {
			later(t, s, clock, -ahead)
			g, err := access.Principal{Tenant: pki.Platform, ID: "token:1", Grants: access.Given(access.PlatformOperator)}.Authorize(access.ManageClock, pki.Platform)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.issuance.AcceptClock(t.Context(), g); err != nil {
				t.Fatal(err)
			}
		}, false, false},
		{"revoked", func(t *testing.T) {
			g, err := access.System("acme", "test").Authorize(access.Revoke, "acme")
			if err != nil {
				t.Fatal(err)
			}
			row(t, func(c *keystore.Credential) {
				serial, err := pki.SerialFromBytes(s.listeners.certificate.Load().Leaf.SerialNumber.Bytes())
				if err == nil {
					_, err = s.revocation.Revoke(t.Context(), g, c.Issuer, serial, pki.KeyCompromise)
				}
				if err != nil {
					t.Fatal(err)
				}
			})
		}, false, false},
		{"a broken signature", func(t *testing.T) {
			row(t, func(c *keystore.Credential) { c.Chain[0][len(c.Chain[0])-1] ^= 1 })
		}, false, false},
		{"no certificate", func(t *testing.T) {
			row(t, func(c *keystore.Credential) { c.Chain[0] = []byte("certificate") })
		}, false, false},
		{"another's certificate", func(t *testing.T) {
			row(t, func(c *keystore.Credential) { c.Chain[0] = bytes.Clone(c.Chain[1]) })
		}, false, false},
		{"another's chain", func(t *testing.T) {
			row(t, func(c *keystore.Credential) { c.Chain[1] = c.Chain[0] })
		}, false, false},
		{"another issuer", func(t *testing.T) {
			row(t, func(c *keystore.Credential) {
				issuers, err := s.store.AllIssuers(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(issuers, func(i *pki.Issuer) bool { return i.ID != c.Issuer })
				c.Issuer = issuers[i].ID
			})
		}, false, false},
		{"no issuer", func(t *testing.T) { row(t, func(c *keystore.Credential) { c.Issuer = "none" }) }, false, false},
		{"another key", func(t *testing.T) {
			row(t, func(c *keystore.Credential) {
				key, err := s.credentials.keys.Generate(t.Context(), "software", "acme", pki.P256, keystore.UseTLS)
				if err != nil {
					t.Fatal(err)
				}
				c.Key = key
			})
		}, false, false},
		{"no key", func(t *testing.T) { row(t, func(c *keystore.Credential) { c.Key = "software:none" }) }, false, false},
		{"no row", func(t *testing.T) { s.cfg.Node = "another" }, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock = pandotest.NewClock(pandotest.Now().Add(time.Minute))
			s = open(t, newConfig(t), clock.Now)
			issue(t, s)
			st := furnish(t, s, "acme", "tls-server")
			g := st.Permit(t, "acme", access.ManageEndpoints)
			other := enroll.NewEndpoint{Name: "other", Authority: "issuing", Profile: "tls-server", Names: &pki.Names{DNS: []string{"localhost"}, IP: []string{"127.0.0.0/8"}}}
			if _, err := s.enroll.CreateEndpoint(t.Context(), g, other); err != nil {
				t.Fatal(err)
			}
			later(t, s, clock, ahead)
			renew := func() (*x509.Certificate, error) {
				err := s.RenewListeners(t.Context())
				return s.listeners.certificate.Load().Leaf, err
			}
			before, err := renew()
			if err != nil {
				t.Fatal(err)
			}
			test.change(t)
			protocol := func(p pki.Protocol) {
				for _, name := range []string{"tls-server", "other"} {
					if _, err := s.enroll.UpdateEndpoint(t.Context(), g, enroll.NewEndpoint{Name: name, Protocols: []pki.Protocol{p}}); err != nil {
						t.Fatal(err)
					}
				}
			}

			protocol(pki.ProtocolBatch)
			if got, err := renew(); (err == nil) != test.usable || !got.Equal(before) {
				t.Errorf("where none is issued: %v; want the one before to serve on: %t", err, test.usable)
			}
			protocol(pki.ProtocolREST)
			after, err := renew()
			if err != nil {
				t.Fatal(err)
			}
			if kept := after.Equal(before); kept != test.kept {
				t.Errorf("the certificate was kept: %t, want %t", kept, test.kept)
			}
			if again, err := renew(); err != nil || !again.Equal(after) {
				t.Errorf("another one was made at the next look: %v", err)
			}
		})
	}
}

// TestKeptResponder: a responder that is revoked, or of an earlier version of its
// profile, is made anew.
func TestKeptResponder(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	issue(t, s)
	st := furnish(t, s, "acme")
	view, err := s.hierarchy.Authority(t.Context(), st.Permit(t, "acme", access.ReadConfiguration), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	issuer := view.Issuers[0].ID
	r := responders{store: s.store, credentials: s.credentials}
	get := func() *x509.Certificate {
		t.Helper()
		der, _, notAfter, err := r.Responder(t.Context(), issuer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil || !cert.NotAfter.Equal(notAfter) {
			t.Fatalf("until %s: %v", notAfter, err)
		}
		return cert
	}
	first := get()
	if !get().Equal(first) {
		t.Error("a responder is not kept")
	}
	serial, err := pki.SerialFromBytes(first.SerialNumber.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.revocation.Revoke(t.Context(), st.Permit(t, "acme", access.Revoke), issuer, serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	second := get()
	if second.Equal(first) || bytes.Equal(second.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
		t.Error("a revoked responder is kept, or its key")
	}
	source, err := packs.Document(policy.ResponderProfile)
	if err != nil {
		t.Fatal(err)
	}
	source = bytes.Replace(source, []byte("validity: 30d"), []byte("validity: 20d"), 1)
	if _, err := s.hierarchy.PublishProfile(t.Context(), st.Permit(t, "acme", access.ManageProfiles), source); err != nil {
		t.Fatal(err)
	}
	if third := get(); third.NotAfter.Sub(third.NotBefore) > 21*24*time.Hour {
		t.Error("a responder of an earlier version of the profile is kept")
	}
}

// TestResponderKind: a responder's key is of the first kind that its profile allows,
// or of the issuer's own where the profile allows it.
func TestResponderKind(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	issue(t, s)
	st := furnish(t, s, "acme")
	view, err := s.hierarchy.Authority(t.Context(), st.Permit(t, "acme", access.ReadConfiguration), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := tbs.ParseCertificate(view.Issuers[0].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	source, err := packs.Document(policy.ResponderProfile)
	if err != nil {
		t.Fatal(err)
	}
	r := responders{store: s.store, credentials: s.credentials}
	for _, c := range []struct {
		allow string
		want  pki.KeyKind
	}{{"mldsa65, p256", pki.P256}, {"mldsa44", pki.MLDSA44}} {
		document := bytes.Replace(source, []byte("allow: [p256]"), []byte("allow: ["+c.allow+"]"), 1)
		if _, err := s.hierarchy.PublishProfile(t.Context(), st.Permit(t, "acme", access.ManageProfiles), document); err != nil {
			t.Fatal(err)
		}
		certificate, _, _, err := r.Responder(t.Context(), view.Issuers[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if parsed, err := tbs.ParseCertificate(certificate); err != nil || parsed.Key.Kind() != c.want {
			t.Errorf("%s: a responder of kind %v, %v", c.allow, parsed.Key.Kind(), err)
		}
	}
	request := tbs.AppendOCSPRequest(nil, [][]byte{tbs.AppendCertID(nil, crypto.SHA256, issuer, issuer.Serial)}, nil)
	answer, err := s.revocation.Respond(t.Context(), view.Issuers[0].ID, request)
	if err != nil {
		t.Fatal(err)
	}
	response, err := tbs.ParseOCSPResponse(answer.DER)
	if err != nil {
		t.Fatal(err)
	}
	if by, err := response.Verify(issuer, time.Now()); err != nil || by.Key.Kind() != pki.MLDSA44 {
		t.Errorf("answered by %+v, %v", by, err)
	}
}
