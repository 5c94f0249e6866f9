package broker

// keeping counts the sessions that outlive their connections. The registry's
// lock guards it.
type keeping struct {
	all     int
	byOwner map[owner]int
}

func (k *keeping) add(cl *client) {
	if cl.kept {
		return
	}
	cl.kept = true
	k.all++
	if k.byOwner == nil {
		k.byOwner = make(map[owner]int)
	}
	k.byOwner[cl.owner]++
}

// remove forgets a session that ends; kept stays, for the store must hear of
// the end.
func (k *keeping) remove(cl *client) {
	if !cl.kept {
		return
	}
	k.all--
	if k.byOwner[cl.owner]--; k.byOwner[cl.owner] == 0 {
		delete(k.byOwner, cl.owner)
	}
}

// mayKeep reports whether a session that outlives its connection may begin.
// One that is there already, and has the name cl, may go on.
func (a *attachment) mayKeep(k keeping, cl *client) bool {
	if a.params.Expiry == 0 || a.door == nil || cl != nil && cl.kept {
		return true
	}
	l := &a.door.limits
	return k.all < l.Sessions && k.byOwner[a.owner] < l.SessionsPerUser
}
