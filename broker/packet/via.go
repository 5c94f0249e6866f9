package packet

// Via says through which subscriptions a message comes to a receiver; nil
// stands for a plain one without a Subscription Identifier. It is shared and
// immutable.
type Via struct {
	Identifiers []uint32 // Subscription Identifiers
	// Share is the Topic Filter of the Shared Subscription, with $share/name/;
	// empty for a plain one.
	Share string
}

// IDs are the Subscription Identifiers.
func (v *Via) IDs() []uint32 {
	if v == nil {
		return nil
	}
	return v.Identifiers
}

// Shared is the Topic Filter of the Shared Subscription.
func (v *Via) Shared() string {
	if v == nil {
		return ""
	}
	return v.Share
}

// With returns a copy of v with one more identifier.
func (v *Via) With(id uint32) *Via {
	ids := v.IDs()
	return &Via{Identifiers: append(ids[:len(ids):len(ids)], id), Share: v.Shared()}
}
