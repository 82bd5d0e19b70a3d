package sqlstore

import (
	"context"
	"encoding/pem"
	"fmt"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// PutCredential implements keystore.CredentialStore.
func (s *Store) PutCredential(ctx context.Context, c *keystore.Credential) error {
	var chain []byte
	for _, der := range c.Chain {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	err := s.update(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO credential (tenant, name, source, key_uri, issuer, chain) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant, name) DO UPDATE SET source = excluded.source, key_uri = excluded.key_uri, issuer = excluded.issuer, chain = excluded.chain`,
			c.Tenant, c.Name, c.Source, c.Key, c.Issuer, chain)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing the credential %s: %w", c.Name, err)
	}
	return nil
}

const selectCredential = `SELECT tenant, name, source, key_uri, issuer, chain FROM credential `

func scanCredential(row row) (*keystore.Credential, error) {
	c := new(keystore.Credential)
	var chain []byte
	if err := row.Scan(&c.Tenant, &c.Name, &c.Source, &c.Key, &c.Issuer, &chain); err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		c.Chain = append(c.Chain, block.Bytes)
	}
	if len(c.Chain) == 0 {
		return nil, errDamaged
	}
	return c, nil
}

// Credential implements keystore.CredentialStore.
func (s *Store) Credential(ctx context.Context, tenant pki.TenantID, name string) (*keystore.Credential, error) {
	c, err := one(ctx, s.read, scanCredential, selectCredential+`WHERE tenant = $1 AND name = $2`, tenant, name)
	return found(c, err, "credential %q", name)
}
