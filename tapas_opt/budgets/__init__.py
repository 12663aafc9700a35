"""The limits that all three problems share: power by rack, row, PDU and UPS; air and heat by aisle."""
