package restapi

import (
	"context"
	"encoding/hex"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

type blocklistInput struct {
	Caller
	Body client.Blocklist
}

func (s *server) blockKeys(ctx context.Context, g access.Permit, in *blocklistInput) (*answer[client.BlocklistResult], error) {
	hashes := make([][32]byte, len(in.Body.Hashes))
	for i, text := range in.Body.Hashes {
		if n, err := hex.Decode(hashes[i][:], []byte(text)); err != nil || n != len(hashes[i]) || len(text) != 2*n {
			return nil, pki.Errorf(pki.Malformed, "hash %.70q: it is the SHA-256 of a SubjectPublicKeyInfo in 64 hexadecimal digits", text)
		}
	}
	added, err := s.cfg.Enroll.BlockKeys(ctx, g, hashes)
	if err != nil {
		return nil, err
	}
	return &answer[client.BlocklistResult]{client.BlocklistResult{Added: added}}, nil
}
