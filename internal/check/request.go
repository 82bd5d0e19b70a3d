package check

import (
	"context"
	"fmt"
	"math"
)

// requestPage is how many chunks of requests are read at once, each of some 10 kB.
const requestPage = 100

// checkRequests reads what is kept of the requests of batches.
func (c *checker) checkRequests(ctx context.Context) error {
	for after := int64(math.MinInt64); ; {
		all, err := c.store.ScanRequests(ctx, after, requestPage)
		if err != nil {
			return fmt.Errorf("reading the requests of batches: %w", err)
		}
		if len(all) == 0 {
			return nil
		}
		for _, k := range all {
			after = k.ID
			switch {
			case k.Batch == "":
				c.report.addf(RequestsKept, fmt.Sprintf("requests %d", k.ID), "the batch that they are of is not in the store")
			case k.Damaged:
				c.report.addf(RequestsKept, "batch "+string(k.Batch), "the requests of its chunk %d are not those that were kept", k.Chunk)
			}
		}
		c.tell("requests of batches", after)
	}
}
