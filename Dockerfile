# The commands in a container:      docker build --tag exemplar .
#   for a GPU:                      docker build --tag exemplar --build-arg TORCH=cu126 .
#   a photograph of this folder:    docker run --rm --volume "$PWD:/photos" exemplar denoise photo.jpg
FROM python:3.11-slim
ARG TORCH=cpu
ENV PIP_NO_CACHE_DIR=1 PATH=/exemplar/.venv/bin:$PATH
# g++ compiles the attention kernel at its first use.
RUN apt-get update && apt-get install --yes --no-install-recommends g++ make && rm -rf /var/lib/apt/lists/*
WORKDIR /exemplar
COPY . .
RUN make install TORCH=${TORCH}
# A wheel in place of the checkout: outputs and relative paths are those of the folder that is mounted.
RUN .venv/bin/python -m pip install --no-deps --constraint constraints.txt .
WORKDIR /photos
ENTRYPOINT ["exemplar"]
CMD ["--help"]
