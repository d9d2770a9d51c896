-- Numbers the lives of lease pools: the upper half of each fencing token (epoch_source). It fits
-- into 32 bits.
CREATE SEQUENCE gateway_epochs AS bigint MAXVALUE 4294967295;
