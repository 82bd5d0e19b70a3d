package bench

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/simulate"
)

// newDevices returns the requests of n new devices, each with a key of its own, as
// the file of PEM that a plant hands in.
func (b *bench) newDevices(ctx context.Context, n int) ([]byte, error) {
	b.series++
	var file bytes.Buffer
	err := simulate.WriteCSRs(ctx, &file, simulate.CSRs{
		Devices: simulate.Devices{Prefix: fmt.Sprintf("B%d-", b.series), Count: n}, Format: client.PEM,
	})
	return file.Bytes(), err
}

// splitPEM returns the requests of a file in DER.
func splitPEM(file []byte) [][]byte {
	var all [][]byte
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			return all
		}
		all = append(all, block.Bytes)
		file = rest
	}
}
