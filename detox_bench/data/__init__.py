"""Files in, our types out: RTP-LX, the sample set, and the data store."""
