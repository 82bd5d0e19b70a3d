package bench

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
)

// checkedName names an authority that verifies each signature, and its endpoint.
const checkedName = "checked"

// addAuthority makes an issuing authority under the story's root, and an endpoint of
// its name for devices of the story over one protocol.
func (b *bench) addAuthority(ctx context.Context, n client.NewAuthority, protocol string) error {
	n.CommonName, n.Kind, n.Parent = "Example Metering "+n.Name, string(pki.Issuing), "root"
	n.StatusURL, n.Shards = b.file.HTTP, 4
	if _, err := b.api.CreateAuthority(ctx, n); err != nil {
		return err
	}
	text, err := b.api.AuthorityRequest(ctx, n.Name)
	if err != nil {
		return err
	}
	request, err := ceremony.ReadRequest(bytes.NewReader(text))
	if err != nil {
		return err
	}
	offline := filepath.Join(b.dir, "deployment", "ceremony")
	passphrase, err := os.ReadFile(filepath.Join(offline, "root.passphrase"))
	if err != nil {
		return err
	}
	answer, err := ceremony.Sign(ctx, ceremony.SignConfig{
		Sealed: filepath.Join(offline, "root.sealed"), Passphrase: pki.NewSecret(strings.TrimSpace(string(passphrase))),
		Request: request, Now: time.Now,
	})
	if err != nil {
		return err
	}
	var file bytes.Buffer
	if err := ceremony.WriteResponse(&file, answer); err != nil {
		return err
	}
	if _, err := b.api.Install(ctx, file.Bytes()); err != nil {
		return err
	}
	_, err = b.api.CreateEndpoint(ctx, client.NewEndpoint{Name: n.Name, Authority: n.Name, Profile: endpoint, Protocols: []string{protocol}})
	return err
}
