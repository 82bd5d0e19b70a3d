package keystore_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// fake answers with the URIs and keys that it is asked for.
type fake struct{ scheme string }

func (f fake) Generate(_ context.Context, tenant pki.TenantID, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, error) {
	return pki.KeyURI(f.scheme + ":" + string(tenant) + "/" + string(kind) + "/" + string(use)), nil
}

func (f fake) Open(_ context.Context, uri pki.KeyURI) (*keystore.Key, error) {
	return &keystore.Key{URI: uri, Tenant: pki.TenantID(f.scheme)}, nil
}

func TestGenerate(t *testing.T) {
	keys := keystore.New(map[string]keystore.Provider{"one": fake{"one"}, "two": fake{"two"}})
	tests := []struct {
		name, scheme string
		kind         pki.KeyKind
		use          keystore.Use
		want         pki.KeyURI
		detail       string
	}{
		{name: "by scheme", scheme: "two", kind: pki.P256, use: keystore.UseOCSP, want: "two:acme/p256/ocsp"},
		{name: "no such scheme", scheme: "three", kind: pki.P256, use: keystore.UseCA,
			detail: `key scheme "three": this deployment makes keys in one, two`},
		{name: "no such kind", scheme: "one", kind: "p224", use: keystore.UseCA,
			detail: `key kind "p224": it is one of [p256 p384 p521 rsa2048 rsa3072 rsa4096 rsa2048-pss rsa3072-pss rsa4096-pss ed25519 mldsa44 mldsa65 mldsa87 slhdsa-sha2-128s]`},
		{name: "no such use", scheme: "one", kind: pki.P256, use: "any",
			detail: `key use "any": it is one of [ca ocsp tls log lot-report scep-signer scep-recipient]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := keys.Generate(t.Context(), tt.scheme, "acme", tt.kind, tt.use)
			if got != tt.want {
				t.Errorf("URI %q, want %q", got, tt.want)
			}
			checkDetail(t, err, tt.detail)
		})
	}
}

func TestOpen(t *testing.T) {
	keys := keystore.New(map[string]keystore.Provider{"one": fake{"one"}, "two": fake{"two"}})
	tests := []struct {
		uri    pki.KeyURI
		want   pki.TenantID
		detail string
	}{
		{uri: "two:x:y", want: "two"},
		{uri: pki.OfflineKey, detail: "the key is offline: it is used only with 'pando ceremony'"},
		{uri: "pkcs11:token=x", detail: `the key is in scheme "pkcs11"; this deployment serves one, two`},
		{uri: "x", detail: "key URI without a scheme, which is one of one, two"},
	}
	for _, tt := range tests {
		t.Run(string(tt.uri), func(t *testing.T) {
			got, err := keys.Open(t.Context(), tt.uri)
			if err == nil && (got.Tenant != tt.want || got.URI != tt.uri) {
				t.Errorf("opened %s of %s, want %s", got.URI, got.Tenant, tt.want)
			}
			checkDetail(t, err, tt.detail)
		})
	}
}

func TestCreateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := keystore.CreateFile(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want -rw-------", info.Mode())
	}
	if err := keystore.CreateFile(path, []byte("second")); pki.KindOf(err) != pki.Conflict {
		t.Errorf("error %v, want a conflict", err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("first", string(got)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if err := keystore.CreateFile(filepath.Join(path, "below", "x"), nil); err == nil {
		t.Error("a file below a file was created")
	}
}

func checkDetail(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = pki.DetailOf(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}
