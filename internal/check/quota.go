package check

import (
	"context"
	"fmt"
)

// checkQuotas counts anew what each quota says is used.
func (c *checker) checkQuotas(ctx context.Context) error {
	all, err := c.store.AllQuotas(ctx)
	if err != nil {
		return fmt.Errorf("reading the quotas: %w", err)
	}
	for _, q := range all {
		n, err := c.store.QuotaHeld(ctx, q)
		if err != nil {
			return fmt.Errorf("counting what a quota holds: %w", err)
		}
		if c.report.Quotas++; n != q.Used {
			c.report.addf(QuotaExact, fmt.Sprintf("quota %s of %s", q.Target, q.Tenant),
				"it says that %d are used, and the store holds %d; remove it and set it again: that counts anew", q.Used, n)
		}
		c.tell("quotas", c.report.Quotas)
	}
	return nil
}
