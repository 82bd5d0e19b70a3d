package soft_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// memory is a store of sealed keys. A test owns it alone.
type memory map[string]keystore.SealedKey

func (m memory) PutKey(_ context.Context, k *keystore.SealedKey) error {
	m[k.ID] = *k
	return nil
}

func (m memory) Key(_ context.Context, id string) (*keystore.SealedKey, error) {
	k, ok := m[id]
	if !ok {
		return nil, pki.Errorf(pki.NotFound, "no such key")
	}
	return &k, nil
}

func (m memory) Sealings(context.Context) ([]keystore.Sealing, error) {
	var out []keystore.Sealing
	for _, k := range m {
		out = append(out, keystore.Sealing{Tenant: k.Tenant, KEK: k.KEK})
	}
	return out, nil
}

func clock() time.Time { return time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC) }

func newKEK(t *testing.T) *soft.KEK {
	t.Helper()
	k, err := soft.CreateKEK(t.TempDir() + "/kek")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRoundTrip(t *testing.T) {
	for _, kind := range pki.KeyKinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			store, kek := memory{}, newKEK(t)
			uri, err := soft.New(store, kek, nil, clock).Generate(t.Context(), "acme", kind, keystore.UseCA)
			if err != nil {
				t.Fatal(err)
			}
			// Another process with the same key-encryption key.
			key, err := soft.New(store, kek, nil, clock).Open(t.Context(), uri)
			if err != nil {
				t.Fatal(err)
			}
			id, ok := strings.CutPrefix(string(uri), "software:")
			if !ok {
				t.Fatalf("URI %q is not of scheme software", uri)
			}
			sealed := store[id]
			want := keystore.SealedKey{ID: id, Tenant: "acme", Kind: kind, Use: keystore.UseCA, KEK: kek.ID(),
				SPKI: sealed.SPKI, Sealed: sealed.Sealed, Created: clock()}
			if diff := cmp.Diff(want, sealed); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(keystore.Key{URI: uri, Tenant: "acme", Use: keystore.UseCA, Signer: key.Signer}, *key); diff != "" {
				t.Errorf("opened (-want +got):\n%s", diff)
			}
			public, err := tbs.NewPublicKey(key.Signer.Public())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(public.SPKI(), sealed.SPKI) {
				t.Error("the stored public key is not the key's")
			}
			pkcs8, err := keystore.MarshalPrivateKey(key.Signer)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(sealed.Sealed, pkcs8[len(pkcs8)-32:]) {
				t.Error("the store holds the private key in the clear")
			}
		})
	}
}

func TestTampered(t *testing.T) {
	kek, other := newKEK(t), newKEK(t)
	tests := []struct {
		name   string
		change func(k, second *keystore.SealedKey)
		kind   pki.Kind
		say    string
	}{
		{"nothing", func(_, _ *keystore.SealedKey) {}, 0, ""},
		{"another tenant", func(k, _ *keystore.SealedKey) { k.Tenant = "evil" }, pki.Internal, "changed after it was sealed"},
		{"another use", func(k, _ *keystore.SealedKey) { k.Use = keystore.UseTLS }, pki.Internal, "changed after it was sealed"},
		{"another kind", func(k, _ *keystore.SealedKey) { k.Kind = pki.P384 }, pki.Internal, "changed after it was sealed"},
		{"another key's id", func(k, second *keystore.SealedKey) { k.ID, k.SPKI, k.Sealed = second.ID, second.SPKI, second.Sealed }, pki.Internal, "the store answered with key"},
		{"another key", func(k, second *keystore.SealedKey) { k.SPKI, k.Sealed = second.SPKI, second.Sealed }, pki.Internal, "changed after it was sealed"},
		{"another public key", func(k, second *keystore.SealedKey) { k.SPKI = second.SPKI }, pki.Internal, "public key is not this key's"},
		{"a bit", func(k, _ *keystore.SealedKey) { k.Sealed[20] ^= 1 }, pki.Internal, "changed after it was sealed"},
		{"cut", func(k, _ *keystore.SealedKey) { k.Sealed = k.Sealed[:5] }, pki.Internal, "changed after it was sealed"},
		{"empty", func(k, _ *keystore.SealedKey) { k.Sealed = nil }, pki.Internal, "changed after it was sealed"},
		{"another KEK's id", func(k, _ *keystore.SealedKey) { k.KEK = other.ID() }, pki.Unavailable,
			"is sealed under key-encryption key " + other.ID() + ", the one given is " + kek.ID()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := memory{}
			keys := soft.New(store, kek, nil, clock)
			var ids [2]string
			for i := range ids {
				uri, err := keys.Generate(t.Context(), "acme", pki.P256, keystore.UseCA)
				if err != nil {
					t.Fatal(err)
				}
				ids[i] = strings.TrimPrefix(string(uri), "software:")
			}
			k, second := store[ids[0]], store[ids[1]]
			tt.change(&k, &second)
			store[ids[0]] = k
			_, err := keys.Open(t.Context(), pki.KeyURI("software:"+ids[0]))
			if tt.say == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || pki.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("error %v of kind %v, want %v: %q", err, pki.KindOf(err), tt.kind, tt.say)
			}
		})
	}
}

func TestTenantKEK(t *testing.T) {
	store, deployment, own := memory{}, newKEK(t), newKEK(t)
	both := soft.New(store, deployment, map[pki.TenantID]*soft.KEK{"acme": own}, clock)
	without := soft.New(store, deployment, nil, clock)
	mine, err := both.Generate(t.Context(), "acme", pki.P256, keystore.UseCA)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := both.Generate(t.Context(), "other", pki.P256, keystore.UseCA)
	if err != nil {
		t.Fatal(err)
	}
	for _, uri := range []pki.KeyURI{mine, theirs} {
		if _, err := both.Open(t.Context(), uri); err != nil {
			t.Error(err)
		}
	}
	if _, err := without.Open(t.Context(), theirs); err != nil {
		t.Error(err)
	}
	if _, err := without.Open(t.Context(), mine); pki.KindOf(err) != pki.Unavailable {
		t.Errorf("the tenant's key opened under the deployment's: error %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	keys := soft.New(memory{}, newKEK(t), nil, clock)
	for uri, want := range map[pki.KeyURI]pki.Kind{
		"software:":        pki.Malformed,
		"pkcs11:token=x":   pki.Malformed,
		"software:unknown": pki.NotFound,
	} {
		if _, err := keys.Open(t.Context(), uri); pki.KindOf(err) != want {
			t.Errorf("%s: error %v, want kind %v", uri, err, want)
		}
	}
}

// A server learns at its start that it was given the wrong key-encryption key.
func TestCheck(t *testing.T) {
	m, deployment, own := memory{}, newKEK(t), newKEK(t)
	right := soft.New(m, deployment, map[pki.TenantID]*soft.KEK{"globex": own}, clock)
	for _, tenant := range []pki.TenantID{"acme", "globex"} {
		if _, err := right.Generate(t.Context(), tenant, pki.P256, keystore.UseCA); err != nil {
			t.Fatal(err)
		}
	}
	if err := right.Check(t.Context()); err != nil {
		t.Errorf("with the right keys: %v", err)
	}
	for name, wrong := range map[string]*soft.Soft{
		"another deployment key":  soft.New(m, newKEK(t), map[pki.TenantID]*soft.KEK{"globex": own}, clock),
		"no key of the tenant's":  soft.New(m, deployment, nil, clock),
		"a tenant's key too many": soft.New(m, deployment, map[pki.TenantID]*soft.KEK{"acme": own, "globex": own}, clock),
	} {
		if err := wrong.Check(t.Context()); pki.KindOf(err) != pki.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}
