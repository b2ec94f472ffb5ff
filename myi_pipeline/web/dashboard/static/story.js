// Offers each card as a PNG too: what is drawn in the page, painted at its own size.
for (const figure of document.querySelectorAll('.cards figure')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'quiet';
  button.textContent = 'Keep as PNG';
  button.addEventListener('click', async () => {
    const drawing = figure.querySelector('svg');
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(drawing))}`;
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = drawing.viewBox.baseVal.width;
    canvas.height = drawing.viewBox.baseVal.height;
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((picture) => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(picture);
      link.download = `${figure.dataset.name}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }, 'image/png');
  });
  figure.querySelector('figcaption').append(button);
}
