package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pando-pki/pando/client"
)

// pauseJob is the scripts' command "pausejob LOT NAME": it holds and releases the
// lot's certificates by turns until a job is paused before it is done, and sets a
// variable to that job's id. A job that is large enough to be paused for certain
// would take its time.
func pauseJob(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pausejob LOT NAME")
	}
	ctx := context.Background()
	cl, err := client.New(client.Config{Server: ts.Getenv("PANDO_SERVER"), Token: client.TokenOf(ts.Getenv(tokenVariable)), CAFile: ts.Getenv("PANDO_TLS_CA")})
	ts.Check(err)
	for i := range 500 {
		n := client.NewRevocationJob{RevocationSelection: client.RevocationSelection{Lot: args[0]}, Reason: "certificateHold"}
		if i%2 == 1 {
			n.Reason, n.Release = "", true
		}
		j, err := cl.StartRevocation(ctx, n, rand.Text())
		ts.Check(err)
		j, err = cl.PauseRevocation(ctx, j.ID)
		if err == nil {
			ts.Setenv(args[1], j.ID)
			return
		}
		if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != http.StatusConflict {
			ts.Fatalf("%v", err)
		}
	}
	ts.Fatalf("500 jobs were done before they could be paused")
}
