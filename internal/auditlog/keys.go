package auditlog

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
)

// public returns the 32 bytes of a log's public key.
func (s *Service) public(ctx context.Context, uri pki.KeyURI) ([]byte, error) {
	key, _, err := s.cfg.Keys.Public(ctx, uri)
	if err != nil {
		return nil, err
	}
	public, ok := key.Crypto().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the log's key %s is a %T, not Ed25519", uri, key.Crypto())
	}
	return public, nil
}

// A noteSigner is the note.Signer of a log's key.
type noteSigner struct {
	ctx  context.Context
	keys Keys
	uri  pki.KeyURI
	key  audit.Key
}

// Name implements note.Signer.
func (n noteSigner) Name() string { return n.key.Origin() }

// KeyHash implements note.Signer.
func (n noteSigner) KeyHash() uint32 { return n.key.Hash() }

// Sign implements note.Signer.
func (n noteSigner) Sign(message []byte) ([]byte, error) {
	return n.keys.Sign(n.ctx, n.uri, signer.Checkpoint, message, true)
}

// A tileReader is the tlog.TileReader of a tenant's log.
type tileReader struct {
	ctx    context.Context
	store  Store
	tenant pki.TenantID
	failed bool // the store did not answer, which says nothing about the tiles
}

// Height implements tlog.TileReader.
func (*tileReader) Height() int { return audit.TileHeight }

// ReadTiles implements tlog.TileReader.
func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all, err := r.store.Tiles(r.ctx, r.tenant, tiles)
	r.failed = err != nil && pki.KindOf(err) != pki.NotFound
	return all, err
}

// SaveTiles implements tlog.TileReader; the store has them.
func (*tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
