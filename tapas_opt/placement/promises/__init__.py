"""What placement promises beyond the VMs of a batch: groups in one place, servers of a tenant, room for failover."""
